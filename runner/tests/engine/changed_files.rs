//! The files that a turn changed, although the engine's own record of the files was broken.

use std::path::PathBuf;

use crate::world::World;
use errand_protocol::runner::RunnerEvent;

/// Lets a turn write a file; the paths that it is said to have changed.
async fn changed_by_writing(world: &mut World, name: &str) -> Vec<String> {
    let finished = world
        .ask(&format!("[[write:{{\"path\":\"{name}\",\"content\":\"b\"}}]]"))
        .await;
    let RunnerEvent::TurnFinished { files, .. } = finished else {
        panic!()
    };
    files.iter().map(|file| file.path.clone()).collect()
}

/// The repository in which the engine keeps the files.
fn record(world: &World) -> PathBuf {
    let mut at = world.dir.path().join("state/data/opencode/snapshot");
    for _ in 0..2 {
        at = std::fs::read_dir(&at).unwrap().next().unwrap().unwrap().path();
    }
    at
}

/// Breaks the record while no engine runs; the next one is up when this is done.
async fn broken(world: &mut World, harm: impl FnOnce(PathBuf)) {
    world.kill_runner();
    world.kill_engine();
    harm(record(world));
    let before = world.agent.log().hellos.len();
    world.start_runner();
    let hello = |log: &crate::agent::Log| (log.hellos.len() > before).then_some(());
    world.agent.until("another hello", hello).await;
}

#[tokio::test]
async fn a_lock_that_a_killed_git_left_does_not_hide_what_later_turns_change() {
    let mut world = World::ready().await;
    assert_eq!(changed_by_writing(&mut world, "a.txt").await, ["a.txt"]);
    broken(&mut world, |record| {
        std::fs::write(record.join("index.lock"), "").unwrap();
    })
    .await;
    assert_eq!(changed_by_writing(&mut world, "b.txt").await, ["b.txt"]);
    world.check();
}

#[tokio::test]
async fn a_record_that_a_full_disk_left_half_made_does_not_hide_what_later_turns_change() {
    let mut world = World::ready().await;
    assert_eq!(changed_by_writing(&mut world, "a.txt").await, ["a.txt"]);
    broken(&mut world, |record| {
        std::fs::remove_file(record.join("HEAD")).unwrap();
        std::fs::write(record.join("index"), "DIRC").unwrap();
    })
    .await;
    assert_eq!(changed_by_writing(&mut world, "b.txt").await, ["b.txt"]);
    world.check();
}
