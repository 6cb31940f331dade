//! Saving the work, and going on with it in an empty sandbox.

use std::path::Path;
use std::process::Command;

use errand_protocol::ids::{SnapshotId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent, SnapshotSource};
use errand_protocol::session::TurnOutcome;

use crate::agent::Log;
use crate::survival::start_failed;
use crate::world::{World, done, git, outcome, sample};

/// Waits for the snapshot that was saved with this turn as its last.
async fn saved(world: &World, turn: &TurnId) -> SnapshotId {
    world
        .agent
        .event("a snapshot of the turn", |event| match event {
            RunnerEvent::SnapshotSaved {
                snapshot_id,
                turn_id: Some(saved),
                bytes,
                ..
            } if saved == turn => {
                assert!(*bytes > 0);
                Some(snapshot_id.clone())
            }
            _ => None,
        })
        .await
}

fn snapshots(world: &World) -> Vec<SnapshotId> {
    let log = world.agent.log();
    let saved = log.events.iter().filter_map(|event| match event {
        RunnerEvent::SnapshotSaved { snapshot_id, .. } => Some(snapshot_id.clone()),
        _ => None,
    });
    saved.collect()
}

fn failures(world: &World) -> Vec<String> {
    let log = world.agent.log();
    let failed = log.events.iter().filter_map(|event| match event {
        RunnerEvent::SnapshotFailed { cause } => Some(cause.code.clone()),
        _ => None,
    });
    failed.collect()
}

/// Asks for a snapshot and waits for the answer.
async fn save(world: &World) -> Result<SnapshotId, String> {
    let (good, bad) = (snapshots(world).len(), failures(world).len());
    world.agent.send(AgentFrame::Save {});
    world
        .agent
        .until("an answer to save", |log| {
            let answers = log.events.iter().filter_map(|event| match event {
                RunnerEvent::SnapshotSaved { snapshot_id, .. } => Some(Ok(snapshot_id.clone())),
                RunnerEvent::SnapshotFailed { cause } => Some(Err(cause.code.clone())),
                _ => None,
            });
            answers.skip(good + bad).last()
        })
        .await
}

/// A turn that runs a shell script, and its snapshot.
async fn work(world: &mut World, script: &str) -> (TurnId, SnapshotId) {
    std::fs::write(world.dir.path().join("work.sh"), script).unwrap();
    let file = world.dir.path().join("work.sh").display().to_string();
    let turn = world.prompt(&format!("[[bash:{{\"cmd\":\"sh -e {file}\"}}]]"));
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    let id = saved(world, &turn).await;
    (turn, id)
}

/// A world on an empty disk that begins with the snapshot of another.
async fn restored(from: &World, id: &SnapshotId, upto: Option<&TurnId>) -> (World, Option<String>) {
    let world = on_an_empty_disk(from, id, upto, []).await;
    let loss = restored_as(&world, id).await;
    (world, loss)
}

/// A world on an empty disk that is to begin with the snapshot of another, whose downloads have trouble first.
async fn on_an_empty_disk<const N: usize>(
    from: &World,
    id: &SnapshotId,
    upto: Option<&TurnId>,
    troubles: [u16; N],
) -> World {
    let snapshots = from.agent.log().snapshots.clone();
    let source = SnapshotSource {
        id: id.clone(),
        upto: upto.cloned(),
    };
    let repo = from.setup.repo.clone();
    let prepare = |log: &mut Log| {
        log.snapshots = snapshots;
        log.get_statuses.extend(troubles);
    };
    World::beginning_with(prepare, |setup, _| {
        setup.repo = repo;
        setup.snapshot = Some(source);
    })
    .await
}

/// Waits until it works with the snapshot; gives what was lost.
async fn restored_as(world: &World, id: &SnapshotId) -> Option<String> {
    world.agent.ready().await;
    {
        let log = world.agent.log();
        let at = |wanted: fn(&RunnerEvent) -> bool| log.events.iter().position(wanted).unwrap();
        let restored = at(|event| matches!(event, RunnerEvent::SnapshotRestored { .. }));
        assert!(restored < at(|event| matches!(event, RunnerEvent::Ready { .. })));
        match &log.events[restored] {
            RunnerEvent::SnapshotRestored { snapshot_id, loss } => {
                assert_eq!(snapshot_id, id);
                loss.clone()
            }
            _ => unreachable!(),
        }
    }
}

#[tokio::test]
async fn work_that_cannot_be_fetched_now_is_waited_for_and_not_given_up() {
    let mut first = on_the_sample().await;
    let (_, id) = work(&mut first, "echo a > a.txt\n").await;
    let mut world = on_an_empty_disk(&first, &id, None, [503; 4]).await;
    assert_eq!(start_failed(&world).await, ("restore_failed".to_owned(), true));
    world.kill_runner();
    world.kill_engine();
    world.start_runner();
    assert_eq!(restored_as(&world, &id).await, None);
    assert!(world.workspace().join("a.txt").exists());
}

fn unpack(world: &World, id: &SnapshotId, into: &Path) {
    let file = into.join("snapshot.tar.gz");
    std::fs::write(&file, &world.agent.log().snapshots[id.as_str()]).unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(&file).current_dir(into).status();
    assert!(unpacked.unwrap().success());
    std::fs::remove_file(file).unwrap();
    git(into, &["init", "-q", "--bare", "objects.git"]);
    if world.setup.repo.is_some() {
        let from = world.workspace().display().to_string();
        git(&into.join("objects.git"), &["fetch", "-q", &from, "HEAD"]);
    }
    let bundle = into.join("work.bundle").display().to_string();
    git(&into.join("objects.git"), &["fetch", "-q", &bundle, "+refs/*:refs/*"]);
}

/// Everything in an unpacked snapshot as one text, the contents of all git objects included.
fn everything(dir: &Path) -> String {
    let mut text = String::new();
    for name in ["meta.json", "engine"] {
        let found = Command::new("grep")
            .args(["-rah", "", name])
            .current_dir(dir)
            .output()
            .unwrap();
        text.push_str(&String::from_utf8_lossy(&found.stdout));
    }
    let objects = Command::new("git")
        .args(["cat-file", "--batch-all-objects", "--batch"])
        .current_dir(dir.join("objects.git"))
        .output()
        .unwrap();
    text.push_str(&String::from_utf8_lossy(&objects.stdout));
    text
}

async fn on_the_sample() -> World {
    let world = World::with(|setup, dir| {
        setup.repo = Some(sample(dir));
        setup
            .permissions
            .insert("external_directory".to_owned(), "allow".to_owned());
    })
    .await;
    world.agent.ready().await;
    world
}

const FIRST: &str = "git checkout -q -b work\necho one > committed.txt\ngit add committed.txt\ngit commit -qm one\n\
    echo changed >> README.md\nprintf 'new\\r\\n' > untracked.sh\nchmod +x untracked.sh\nln -s README.md link\nrm LICENSE\n\
    git branch other\necho cache/ > .gitignore\nmkdir cache\necho x > cache/x\n";

fn check_first(dir: &Path) {
    assert_eq!(git(dir, &["symbolic-ref", "--short", "HEAD"]), "work");
    assert_eq!(git(dir, &["log", "--format=%s"]), "one\nThe cart");
    assert_eq!(
        git(dir, &["status", "--porcelain"]),
        "M .gitignore\n D LICENSE\n M README.md\n?? link\n?? untracked.sh"
    );
    assert_eq!(std::fs::read_to_string(dir.join("untracked.sh")).unwrap(), "new\r\n");
    assert_eq!(std::fs::read_link(dir.join("link")).unwrap(), Path::new("README.md"));
    assert!(
        Command::new("test")
            .arg("-x")
            .arg(dir.join("untracked.sh"))
            .status()
            .unwrap()
            .success()
    );
    assert!(!dir.join("LICENSE").exists() && !dir.join("cache").exists());
    assert_eq!(git(dir, &["rev-parse", "other"]), git(dir, &["rev-parse", "HEAD"]));
    assert_eq!(git(dir, &["for-each-ref", "refs/errand"]), "");
}

#[tokio::test]
async fn an_empty_sandbox_goes_on_with_files_and_conversation_as_they_were_now_or_after_any_turn() {
    let mut first = on_the_sample().await;
    let (turn, _) = work(&mut first, FIRST).await;
    let before = git(&first.workspace(), &["status", "--porcelain"]);
    let (_, last) = work(&mut first, "git commit -qam two\necho more > more.txt\nenv\n").await;
    assert_eq!(git(&first.workspace(), &["for-each-ref", "refs/errand"]), "");

    let (mut now, loss) = restored(&first, &last, None).await;
    let loss = loss.unwrap();
    assert!(loss.contains("git ignores (cache/)"), "{loss}");
    let dir = now.workspace();
    assert_eq!(git(&dir, &["log", "--format=%s"]), "two\none\nThe cart");
    assert_eq!(
        git(&dir, &["status", "--porcelain"]),
        git(&first.workspace(), &["status", "--porcelain"])
    );
    assert_eq!(std::fs::read_to_string(dir.join("more.txt")).unwrap(), "more\n");
    assert_eq!(outcome(&now.ask("[[text:{\"words\":3}]] go on").await), done());
    let asked = now.agent.log().llm_body.clone();
    assert_eq!(asked.matches("The command has run.").count(), 2, "{asked}");
    assert!(asked.contains("OPENCODE_") && asked.contains("go on"));
    now.check();

    let (mut then, _) = restored(&first, &last, Some(&turn)).await;
    check_first(&then.workspace());
    assert!(before.contains("untracked.sh"));
    let (_, next) = work(&mut then, "echo other > other.txt\n").await;
    let asked = then.agent.log().llm_body.clone();
    assert_eq!(
        asked.matches("sh -e").count(),
        4,
        "one old call and its prompt, and the new ones: {asked}"
    );
    assert!(!asked.contains("OPENCODE_"));
    // What was restored can be saved and cut again.
    let (again, _) = restored(&then, &next, Some(&turn)).await;
    check_first(&again.workspace());
}

#[tokio::test]
async fn no_credential_is_in_a_snapshot() {
    let mut world = on_the_sample().await;
    let (_, id) = work(&mut world, "env\n").await;
    let dir = tempfile::tempdir().unwrap();
    unpack(&world, &id, dir.path());
    let text = everything(dir.path());
    assert!(
        text.contains("OPENCODE_SERVER_PASSWORD=***"),
        "the agent printed its environment"
    );
    let (token, state) = (world.agent.log().token.clone(), world.state().get());
    for secret in [token, state.engine.unwrap().password, state.relay.unwrap().key] {
        assert!(!text.contains(&secret));
    }
}

#[tokio::test]
async fn work_without_a_repository_is_kept_whole() {
    let mut first = World::ready().await;
    let (_, id) = work(
        &mut first,
        "echo a > a.txt\ngit add a.txt\ngit commit -qm a\necho b > b.txt\n",
    )
    .await;
    let (second, loss) = restored(&first, &id, None).await;
    assert_eq!(loss, None);
    let dir = second.workspace();
    assert_eq!(git(&dir, &["log", "--format=%s"]), "a\nStart of the workspace");
    assert_eq!(git(&dir, &["status", "--porcelain"]), "?? b.txt");
}

#[tokio::test]
async fn a_sub_agents_conversation_is_kept_too() {
    let mut first = World::ready().await;
    let turn = first.prompt("[[subagent]]");
    assert_eq!(outcome(&first.agent.turn_finished(&turn).await), done());
    let id = saved(&first, &turn).await;
    let (mut second, loss) = restored(&first, &id, None).await;
    assert_eq!(loss, None);
    assert_eq!(outcome(&second.ask("[[subagent]]").await), done());
    assert!(second.agent.log().llm_body.matches("task_result").count() >= 2);
    second.check();
}

#[tokio::test]
async fn save_always_answers_and_uploads_only_what_is_new() {
    let mut world = World::ready().await;
    let empty = save(&world).await.unwrap();
    assert_eq!(save(&world).await.unwrap(), empty);
    let (_, id) = work(&mut world, "echo a > a.txt\n").await;
    assert_ne!(id, empty);
    assert_eq!(save(&world).await.unwrap(), id);
    std::fs::write(world.workspace().join("a.txt"), "by hand").unwrap();
    assert_ne!(save(&world).await.unwrap(), id);
    assert_eq!(world.agent.log().uploads, 3);
    let turn = world.prompt("[[gate]]");
    world.text_begun().await;
    let during = save(&world).await.unwrap();
    world.open_gate("gate").await;
    world.agent.turn_finished(&turn).await;
    assert_ne!(saved(&world, &turn).await, during);
}

#[tokio::test]
async fn a_failed_upload_is_tried_again_at_once_then_later_and_what_is_too_large_is_not() {
    let mut world = World::ready().await;
    world.agent.log().put_statuses.extend([500, 503]);
    work(&mut world, "echo a > a.txt\n").await;
    assert_eq!(world.agent.log().uploads, 3);
    world.agent.log().put_statuses.extend([500; 4]);
    assert_eq!(outcome(&world.ask("[[write]]").await), done());
    let failed = world.agent.event("a failure", |event| match event {
        RunnerEvent::SnapshotFailed { cause } => Some(cause.code.clone()),
        _ => None,
    });
    assert_eq!(failed.await, "snapshot_upload_failed");
    let saves = |log: &Log| {
        let kinds = log.events.iter();
        kinds
            .filter(|event| matches!(event, RunnerEvent::SnapshotSaved { .. }))
            .count()
    };
    let later = world
        .agent
        .until("another snapshot, unasked", |log| (saves(log) > 1).then_some(()));
    later.await;
    std::fs::write(world.workspace().join("a.txt"), "by hand").unwrap();
    world.agent.log().put_statuses.push_back(413);
    assert_eq!(save(&world).await, Err("snapshot_too_large".to_owned()));
    assert!(
        save(&world).await.is_ok(),
        "what could not be saved is not taken for saved"
    );
}

#[tokio::test]
async fn the_work_is_saved_before_the_runner_ends() {
    let mut world = World::ready().await;
    std::fs::write(world.workspace().join("a.txt"), "a").unwrap();
    world.agent.send(AgentFrame::Shutdown {});
    assert_eq!(world.runner_exit().await, 0);
    assert_eq!(snapshots(&world).len(), 1);

    let mut world = World::ready().await;
    let turn = world.prompt("[[bash:{\"cmd\":\"echo begun > a.txt; sleep 600\"}]]");
    crate::world::until(|| world.workspace().join("a.txt").exists()).await;
    world.terminate_runner();
    assert_eq!(world.runner_exit().await, 0);
    // Nobody stopped it: it failed, and says why.
    let finished = outcome(&world.agent.turn_finished(&turn).await);
    assert_eq!(finished, (TurnOutcome::Failed, "sandbox_ended".to_owned()));
    let id = saved(&world, &turn).await;
    let (second, _) = restored(&world, &id, None).await;
    assert!(second.workspace().join("a.txt").exists());
}

#[tokio::test]
async fn what_ends_before_the_conversation_is_back_puts_no_snapshot_in_the_place_of_the_one_that_has_it() {
    let mut first = on_the_sample().await;
    let (_, id) = work(&mut first, "echo a > a.txt\n").await;
    let mut world = on_an_empty_disk(&first, &id, None, []).await;
    crate::world::until(|| {
        let state = world.state().get();
        state.cloned && state.snapshot.conversation.is_some()
    })
    .await;
    world.terminate_runner();
    assert_eq!(world.runner_exit().await, 0);
    assert_eq!(snapshots(&world), []);
}

#[tokio::test]
async fn a_snapshot_made_while_the_engine_is_away_has_the_conversation_that_was_brought_back() {
    let mut first = on_the_sample().await;
    let (_, id) = work(&mut first, "echo a > a.txt\n").await;
    let (world, _) = restored(&first, &id, None).await;
    std::fs::write(world.workspace().join("b.txt"), "b").unwrap();
    world.kill_engine();
    let again = save(&world).await.unwrap();
    let (second, loss) = restored(&world, &again, None).await;
    assert!(loss.is_none_or(|loss| !loss.contains("does not remember")));
    assert!(second.workspace().join("b.txt").exists());
    let state = second.state().get();
    assert_eq!(
        state.engine_session,
        first.state().get().engine_session,
        "the conversation"
    );
    // Once it can be asked again, the conversation is saved as it is now, though nothing else has changed.
    let whole = world.agent.event("another snapshot, unasked", |event| match event {
        RunnerEvent::SnapshotSaved { snapshot_id, .. } if *snapshot_id != again => Some(snapshot_id.clone()),
        _ => None,
    });
    let (_, loss) = restored(&world, &whole.await, None).await;
    assert_eq!(loss, None);
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_restored_is_a_loss_and_not_the_end() {
    let mut first = on_the_sample().await;
    let (_, good) = work(&mut first, "echo a > a.txt\n").await;
    let put = |name: &str, bytes: Vec<u8>| {
        let id: SnapshotId = name.parse().unwrap();
        first.agent.log().snapshots.insert(name.to_owned(), bytes.into());
        id
    };
    let garbage = put("snp_garbage", b"garbage".to_vec());
    let dir = tempfile::tempdir().unwrap();
    unpack(&first, &good, dir.path());
    let repack = |meta: &str| {
        std::fs::write(dir.path().join("meta.json"), meta).unwrap();
        let packed = Command::new("tar")
            .args(["-czf", "new.tar.gz", "meta.json", "work.bundle", "engine"])
            .current_dir(dir.path())
            .status();
        assert!(packed.unwrap().success());
        std::fs::read(dir.path().join("new.tar.gz")).unwrap()
    };
    let meta = std::fs::read_to_string(dir.path().join("meta.json")).unwrap();
    let newer = put(
        "snp_newer",
        repack(&meta.replacen("\"runtime\":1", "\"runtime\":99", 1)),
    );
    let silent = put("snp_silent", {
        std::fs::remove_dir_all(dir.path().join("engine")).unwrap();
        std::fs::create_dir(dir.path().join("engine")).unwrap();
        repack(&meta)
    });
    let missing: SnapshotId = "snp_missing".parse().unwrap();
    for (id, words) in [
        (garbage, "not brought back"),
        (newer, "newer version"),
        (missing, "status 404"),
    ] {
        let (world, loss) = restored(&first, &id, None).await;
        let loss = loss.unwrap();
        assert!(loss.contains(words), "{loss}");
        assert_eq!(git(&world.workspace(), &["status", "--porcelain"]), "");
        assert_eq!(git(&world.workspace(), &["log", "--format=%s"]), "The cart");
    }
    let (mut world, loss) = restored(&first, &silent, None).await;
    assert!(loss.unwrap().contains("does not remember the conversation"));
    assert!(
        world.workspace().join("a.txt").exists(),
        "the files are there all the same"
    );
    assert_eq!(outcome(&world.ask("[[bash]]").await), done());
}

#[tokio::test]
async fn a_start_that_was_broken_off_while_the_conversation_came_back_is_begun_anew_and_sees_changes() {
    let mut first = on_the_sample().await;
    let (_, id) = work(&mut first, "echo a > a.txt\n").await;
    let mut world = on_an_empty_disk(&first, &id, None, []).await;
    crate::world::until(|| {
        let state = world.state().get();
        state.snapshot.conversation.is_some() && state.engine.is_some()
    })
    .await;
    world.kill_runner();
    world.kill_engine();
    world.start_runner();
    assert_eq!(restored_as(&world, &id).await, None);
    let finished = world.ask("[[write:{\"path\":\"b.txt\",\"content\":\"b\"}]]").await;
    let RunnerEvent::TurnFinished { files, .. } = finished else {
        panic!()
    };
    let changed: Vec<String> = files.iter().map(|file| format!("{file:?}")).collect();
    assert!(changed.iter().any(|file| file.contains("b.txt")), "{changed:?}");
}
