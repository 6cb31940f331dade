mod push;

use super::*;
use crate::snapshot::place::{Place, git};

/// A workspace with one commit of some size.
fn place() -> Place {
    let place = Place::new();
    let workspace = &place.config.workspace;
    std::fs::create_dir_all(workspace).unwrap();
    place.git(&["init", "-q", "-b", "main"]);
    let noise: Vec<String> = (0..200_000_u64).map(|n| (n * n % 97_003).to_string()).collect();
    place.write("base.txt", &noise.concat());
    place.git(&["add", "-A"]);
    place.git(&["commit", "-qm", "base"]);
    place
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
    place.add_what_is_left_out();
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
