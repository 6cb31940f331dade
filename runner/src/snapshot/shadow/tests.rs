mod push;

use super::*;
use std::process::Command as Program;

struct Place {
    dir: tempfile::TempDir,
    config: Config,
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Program::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com", "-C"])
        .arg(dir)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A workspace with one commit of some size.
fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let env = |name: &str| {
        Some(match name {
            "ERRAND_URL" => "ws://127.0.0.1:1".to_owned(),
            "ERRAND_SESSION" => "ses_1".to_owned(),
            "ERRAND_GENERATION" => "1".to_owned(),
            "PATH" => std::env::var("PATH").unwrap(),
            "ERRAND_WORKSPACE" => dir.path().join("workspace").display().to_string(),
            "ERRAND_STATE" => dir.path().join("state").display().to_string(),
            "ERRAND_TOKEN" | "ERRAND_ENGINE" => "x".to_owned(),
            _ => return None,
        })
    };
    let config = Config::read(env).unwrap();
    std::fs::create_dir_all(&config.state).unwrap();
    std::fs::create_dir_all(&config.workspace).unwrap();
    git(&config.workspace, &["init", "-q", "-b", "main"]);
    let noise: Vec<String> = (0..200_000_u64).map(|n| (n * n % 97_003).to_string()).collect();
    std::fs::write(config.workspace.join("base.txt"), noise.concat()).unwrap();
    git(&config.workspace, &["add", "-A"]);
    git(&config.workspace, &["commit", "-qm", "base"]);
    Place { dir, config }
}

impl Place {
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.config.workspace.join(name), text).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(&self.config.workspace, arguments)
    }
}

fn turn(n: u32) -> TurnId {
    TurnId::from_body(&n.to_string()).unwrap()
}

#[tokio::test]
async fn capturing_changes_nothing_in_the_agents_repository() {
    let place = place();
    place.write("staged.txt", "staged");
    place.git(&["add", "staged.txt"]);
    place.write("loose.txt", "loose");
    let look = || {
        let index = std::fs::read(place.config.workspace.join(".git/index")).unwrap();
        (place.git(&["for-each-ref"]), place.git(&["count-objects"]), index)
    };
    let before = look();
    let shadow = Shadow::open(&place.config).await.unwrap();
    let captured = shadow.capture(Some(&turn(1))).await.unwrap();
    assert_eq!(look(), before);
    assert_eq!(captured.place.branch.as_deref(), Some("main"));
    assert_eq!(
        captured.place.head.as_deref(),
        Some(place.git(&["rev-parse", "HEAD"]).as_str())
    );
    let files = shadow
        .git(&["ls-tree", "-r", "--name-only", &captured.tree])
        .await
        .unwrap();
    assert_eq!(files, "base.txt\nloose.txt\nstaged.txt");
    let again = shadow.capture(None).await.unwrap();
    assert_eq!(again.tree, captured.tree, "equal files are an equal tree");
}

#[tokio::test]
async fn what_is_left_out_is_named_and_what_is_tracked_is_kept_even_when_ignored() {
    let place = place();
    place.write(".gitignore", "*.log\n");
    place.write("kept.log", "kept");
    place.git(&["add", "-f", "kept.log"]);
    place.write("noise.log", "noise");
    place.write("b [1].bin", "");
    let file = std::fs::File::options()
        .write(true)
        .open(place.config.workspace.join("b [1].bin"));
    file.unwrap().set_len(MAX_UNTRACKED + 1).unwrap();
    git(&place.config.workspace, &["init", "-q", "inner"]);
    place.write("inner/x", "x");
    git(&place.config.workspace.join("inner"), &["add", "-A"]);
    git(&place.config.workspace.join("inner"), &["commit", "-qm", "inner"]);
    let shadow = Shadow::open(&place.config).await.unwrap();
    let captured = shadow.capture(None).await.unwrap();
    let files = shadow
        .git(&["ls-tree", "-r", "--name-only", &captured.tree])
        .await
        .unwrap();
    assert_eq!(files, ".gitignore\nbase.txt\ninner\nkept.log");
    assert_eq!(
        captured.left_out,
        [
            "large untracked files (b [1].bin)",
            "repositories inside the repository (inner)",
            "files that git ignores (noise.log)"
        ]
    );
}

#[tokio::test]
async fn a_bundle_is_without_what_the_base_has_and_survives_history_that_was_thrown_away() {
    let place = place();
    let base = place.git(&["rev-parse", "HEAD"]);
    let shadow = Shadow::open(&place.config).await.unwrap();
    place.write("a.txt", "a");
    place.git(&["add", "-A"]);
    place.git(&["commit", "-qm", "thrown away"]);
    shadow.capture(Some(&turn(1))).await.unwrap();
    place.git(&["reset", "-q", "--hard", "HEAD~1"]);
    place.git(&["reflog", "expire", "--expire=now", "--all"]);
    place.git(&["gc", "-q", "--prune=now"]);
    place.write("b.txt", "b");
    shadow.capture(Some(&turn(2))).await.unwrap();
    let captured = shadow.capture(None).await.unwrap();
    let file = place.dir.path().join("work.bundle");
    let turns = [turn(1), turn(2)];
    let broken = shadow
        .bundle(&file, Some(&base), &captured.branches, &turns)
        .await
        .unwrap();
    assert_eq!(broken, [turn(1)]);
    assert!(std::fs::metadata(&file).unwrap().len() < 10_000);
    let heads = place.git(&["bundle", "list-heads", &file.display().to_string()]);
    assert!(
        heads.contains("refs/errand/turns/trn_2") && heads.contains(NOW),
        "{heads}"
    );
    let broken = shadow
        .bundle(&file, None, &captured.branches, &turns[1..])
        .await
        .unwrap();
    assert_eq!(broken, [] as [TurnId; 0]);
    assert!(
        std::fs::metadata(&file).unwrap().len() > 100_000,
        "without a base it is whole"
    );
}

#[tokio::test]
async fn a_workspace_whose_repository_is_gone_is_still_captured() {
    let place = place();
    let base = place.git(&["rev-parse", "HEAD"]);
    let shadow = Shadow::open(&place.config).await.unwrap();
    assert!(shadow.has(&base).await);
    shadow.capture(Some(&turn(1))).await.unwrap();
    std::fs::remove_dir_all(place.config.workspace.join(".git")).unwrap();
    place.write("a.txt", "a");
    let captured = shadow.capture(None).await;
    let captured = captured.unwrap();
    assert_eq!((&captured.place.head, captured.branches.len()), (&None, 0));
    assert!(!shadow.has(&base).await);
    let file = place.dir.path().join("work.bundle");
    let broken = shadow.bundle(&file, None, &captured.branches, &[turn(1)]).await;
    assert_eq!(broken.unwrap(), [turn(1)]);
    assert!(std::fs::metadata(&file).unwrap().len() > 100_000, "it is whole");
}

#[tokio::test]
async fn a_repository_whose_making_was_broken_off_is_made_whole() {
    let place = place();
    let half = place.config.state.join("shadow.git");
    std::fs::create_dir_all(half.join("objects")).unwrap();
    std::fs::write(half.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let shadow = Shadow::open(&place.config).await.unwrap();
    assert!(shadow.capture(None).await.is_ok());
}
