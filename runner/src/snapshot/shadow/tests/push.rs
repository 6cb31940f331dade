//! The agent's work as a commit, and its way to the repository.

use errand_protocol::git::GitProxy;
use errand_protocol::runner::GitAuthor;

use super::super::push::{Authorship, PushError, Work};
use super::*;

fn person(name: &str) -> GitAuthor {
    GitAuthor {
        name: name.to_owned(),
        email: format!("{name}@example.com"),
    }
}

fn by() -> Authorship {
    Authorship {
        author: person("ada"),
        committer: person("errand"),
        co_author: true,
        message: "Unfinished: the work\n\nWhy.\n".to_owned(),
    }
}

async fn work(place: &Place) -> (Shadow, Work) {
    let shadow = Shadow::open(&place.config).await.unwrap();
    let work = shadow.work().await.unwrap();
    (shadow, work)
}

async fn files(shadow: &Shadow, tree: &str) -> String {
    shadow.git(&["ls-tree", "-r", "--name-only", tree]).await.unwrap()
}

/// A repository that takes pushes, or whose hook refuses them.
fn origin(place: &Place, hook: Option<&str>) -> GitProxy {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = place.dir.path().join("origin.git");
    git(place.dir.path(), &["init", "-q", "--bare", "origin.git"]);
    if let Some(hook) = hook {
        let file = dir.join("hooks/pre-receive");
        std::fs::create_dir_all(dir.join("hooks")).unwrap();
        std::fs::write(&file, hook).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    GitProxy {
        origin: dir.display().to_string(),
        rewrites: Vec::new(),
        branch: "errand/ses_1".parse().unwrap(),
    }
}

#[tokio::test]
async fn committed_staged_and_loose_work_is_one_commit_and_the_agent_sees_nothing_of_it() {
    let place = place();
    place.write("committed.txt", "1");
    place.git(&["add", "-A"]);
    place.git(&["commit", "-qm", "agent"]);
    place.write("staged.txt", "2");
    place.git(&["add", "staged.txt"]);
    place.write(".gitignore", "*.log\n");
    place.write("noise.log", "x");
    std::fs::create_dir(place.config.workspace.join("dir")).unwrap();
    place.write("dir/loose.txt", "3");
    std::fs::remove_file(place.config.workspace.join("base.txt")).unwrap();
    let look = || {
        let index = std::fs::read(place.config.workspace.join(".git/index")).unwrap();
        let refs = place.git(&["for-each-ref"]) + &place.git(&["rev-parse", "HEAD"]);
        (
            refs,
            place.git(&["count-objects"]),
            place.git(&["status", "--short"]),
            index,
        )
    };
    let before = look();
    let (shadow, work) = work(&place).await;
    assert_eq!(
        files(&shadow, &work.tree).await,
        ".gitignore\ncommitted.txt\ndir/loose.txt\nstaged.txt"
    );
    assert!(!work.committed && work.lacks().is_none(), "{work:?}");
    let note = shadow.commit(&work, &by()).await.unwrap();
    let to = origin(&place, None);
    let branch = to.unfinished().unwrap();
    assert_eq!(branch.as_str(), "errand/ses_1-wip");
    shadow.push(&note.commit, &to, &branch).await.unwrap();
    assert_eq!(look().0, before.0);
    assert_eq!((look().1, look().2, look().3), (before.1, before.2, before.3));
    let there = Path::new(&to.origin);
    assert_eq!(
        git(there, &["for-each-ref", "--format=%(refname)"]),
        format!("refs/heads/{branch}")
    );
    let log = git(there, &["log", "--format=%an <%ae> %cn %s", branch.as_str()]);
    let [first, second, third] = log.lines().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(first, "ada <ada@example.com> errand Unfinished: the work");
    assert!(second.ends_with("agent") && third.ends_with("base"));
    let trailer = git(
        there,
        &["log", "-1", "--format=%(trailers:key=Co-authored-by)", branch.as_str()],
    );
    assert_eq!(trailer, "Co-authored-by: errand <errand@example.com>");
}

#[tokio::test]
async fn what_is_committed_already_is_pushed_as_it_is_and_what_is_published_is_not() {
    let place = place();
    let (shadow, unchanged) = work(&place).await;
    let head = place.git(&["rev-parse", "HEAD"]);
    assert!(unchanged.committed && !unchanged.is_published(&shadow).await);
    let note = shadow.commit(&unchanged, &by()).await.unwrap();
    assert_eq!((&note.commit, note.done), (&head, false));
    assert!(unchanged.is(&note));
    place.git(&["update-ref", "refs/remotes/origin/main", &head]);
    assert!(unchanged.is_published(&shadow).await);
    place.write("more.txt", "more");
    let (shadow, changed) = work(&place).await;
    assert!(!changed.is_published(&shadow).await && !changed.is(&note));
}

#[tokio::test]
async fn the_repositorys_line_endings_count_and_its_hooks_do_not() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = place();
    place.write(".gitattributes", "*.bat text eol=crlf\n");
    place.write("run.bat", "echo\r\n");
    place.git(&["add", "-A"]);
    place.git(&["commit", "-qm", "windows"]);
    let mark = place.dir.path().join("ran");
    for hook in ["pre-commit", "post-index-change", "reference-transaction", "pre-push"] {
        let file = place.config.workspace.join(".git/hooks").join(hook);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, format!("#!/bin/sh\necho {hook} >> {}\n", mark.display())).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Read anew, not taken for unchanged.
    place.write("run.bat", "echo\r\n");
    let (_, unchanged) = work(&place).await;
    assert!(unchanged.committed, "{unchanged:?}");
    place.write("new.txt", "new");
    let (shadow, changed) = work(&place).await;
    let note = shadow.commit(&changed, &by()).await.unwrap();
    let to = origin(&place, None);
    shadow.push(&note.commit, &to, &to.unfinished().unwrap()).await.unwrap();
    assert!(!mark.exists(), "{}", std::fs::read_to_string(&mark).unwrap_or_default());
}

#[tokio::test]
async fn what_cannot_be_in_it_is_named() {
    let place = place();
    place.add_what_is_left_out();
    place.write("kept.txt", "kept");
    let (shadow, work) = work(&place).await;
    assert_eq!(files(&shadow, &work.tree).await, "base.txt\nkept.txt");
    assert_eq!(
        work.lacks().unwrap(),
        "large untracked files (b [1].bin) and repositories inside the repository (inner/)"
    );
}

#[tokio::test]
async fn a_repository_without_commits_and_a_merge_in_progress_are_work_too() {
    let place = place();
    place.git(&["checkout", "-q", "--orphan", "fresh"]);
    place.git(&["rm", "-rqf", "."]);
    let (shadow, empty) = work(&place).await;
    assert!(empty.committed && empty.is_published(&shadow).await, "{empty:?}");
    place.write("first.txt", "first");
    let (shadow, first) = work(&place).await;
    let note = shadow.commit(&first, &by()).await.unwrap();
    assert_eq!(files(&shadow, &note.commit).await, "first.txt");

    place.git(&["checkout", "-qf", "main"]);
    for (branch, text) in [("a", "ours"), ("b", "theirs")] {
        place.git(&["checkout", "-qb", branch, "main"]);
        place.write("both.txt", text);
        place.git(&["add", "both.txt"]);
        place.git(&["commit", "-qm", branch]);
    }
    let merge = std::process::Command::new("git")
        .arg("-C")
        .arg(&place.config.workspace)
        .args(["merge", "-q", "a"])
        .output();
    assert!(!merge.unwrap().status.success());
    let (shadow, merging) = work(&place).await;
    let text = shadow
        .git(&["cat-file", "blob", &format!("{}:both.txt", merging.tree)])
        .await
        .unwrap();
    assert!(text.contains("<<<<<<<"), "{text}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_one_who_refused() {
    let place = place();
    place.write("more.txt", "more");
    let (shadow, work) = work(&place).await;
    let note = shadow.commit(&work, &by()).await.unwrap();
    let to = origin(&place, Some("#!/bin/sh\nexit 1\n"));
    let branch = to.unfinished().unwrap();
    let refused = shadow.push(&note.commit, &to, &branch).await.unwrap_err();
    assert_eq!(refused.to_string(), "it was refused (pre-receive hook declined)");
    assert_eq!(refused.code(), "push_refused");
    let nowhere = GitProxy {
        origin: place.dir.path().join("nowhere").display().to_string(),
        ..to
    };
    let refused = shadow.push(&note.commit, &nowhere, &branch).await.unwrap_err();
    assert!(matches!(refused, PushError::Refused(_)), "{refused}");
}
