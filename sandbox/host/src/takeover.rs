//! Taking over: a new sandbox goes on with the files of an earlier one of the same session.
//!
//! The files move; `successor` in the earlier sandbox's directory says where to. The caller may name any earlier
//! sandbox of the chain, also one whose successor never ran (it may not know that it existed): the chain is followed
//! to its end. Every step may be broken off and repeated.

use std::io;
use std::path::Path;

use errand_protocol::sandbox::Isolation;

use crate::dirs::SandboxDir;
use crate::stop;

/// What a sandbox hands on. Its `tmp` ends with it.
const HANDED_ON: [&str; 3] = ["workspace", "state", "home"];

/// Whether a sandbox with these labels may go on with the files of `from`: they are of one session, or there is
/// nothing left to take.
pub(crate) fn allowed(state: &Path, from: &str, session: Option<&String>) -> bool {
    let earlier = SandboxDir::new(state, from).record();
    earlier.is_none_or(|record| record.spec.labels.get("session") == session)
}

/// Stops the sandbox at the end of the chain that begins at `from`, and moves its files into `to`. Nothing happens
/// when nothing is left of it.
pub(crate) fn take(state: &Path, from: &str, to: &SandboxDir) -> io::Result<()> {
    let mut source = SandboxDir::new(state, from);
    // A chain is as long as the session had sandboxes; names that point in a circle were never written by us.
    for _ in 0..10_000 {
        if source.name() == to.name() || source.record().is_none() {
            return Ok(());
        }
        let Some(successor) = source.successor() else {
            return match move_all(&source, to) {
                // It is being removed at this moment: nothing is left of it.
                Err(_) if source.deleting() || source.record().is_none() => Ok(()),
                moved => moved,
            };
        };
        // An earlier move may have been broken off.
        let next = SandboxDir::new(state, &successor);
        if next.record().is_some() {
            hand_on(&source, &next)?;
        }
        source = next;
    }
    Err(io::Error::other("the sandboxes of this session point in a circle"))
}

fn move_all(source: &SandboxDir, to: &SandboxDir) -> io::Result<()> {
    stop::stop(source, stop::GRACE, "another sandbox took its work over")?;
    source.set_successor(to.name())?;
    hand_on(source, to)
}

/// All sandboxes whose files, by way of others or not, ended in `name`; and those that were to take them over before it
/// and never came to it (a full disk, say), which nobody else will ever name again.
pub(crate) fn predecessors(state: &Path, name: &str) -> Vec<SandboxDir> {
    let all = SandboxDir::list(state);
    let mut found: Vec<SandboxDir> = Vec::new();
    let mut wanted = vec![name.to_owned()];
    while let Some(name) = wanted.pop() {
        for dir in all.iter().filter(|dir| dir.successor().as_ref() == Some(&name)) {
            if !found.contains(dir) {
                wanted.push(dir.name().to_owned());
                found.push(dir.clone());
            }
        }
    }
    let stranded = stranded(&all, name, &found);
    found.extend(stranded);
    found
}

/// What was made before `name`, to go on with the same files, and got none.
fn stranded(all: &[SandboxDir], name: &str, chain: &[SandboxDir]) -> Vec<SandboxDir> {
    let Some(made) = all.iter().find(|dir| dir.name() == name).and_then(SandboxDir::record) else {
        return Vec::new();
    };
    let in_chain = |name: &str| chain.iter().any(|dir| dir.name() == name);
    // What one of them was to go on with may be gone, as the one beside it found out.
    let of_chain = chain.iter().filter_map(|dir| dir.record()?.spec.resume);
    let resumed: Vec<String> = made.spec.resume.into_iter().chain(of_chain).collect();
    let same = |resume: &str| in_chain(resume) || resumed.iter().any(|name| name == resume);
    let got_none = |dir: &&SandboxDir| {
        dir.name() != name
            && !in_chain(dir.name())
            && dir.record().is_some_and(|record| {
                record.created_at < made.created_at && record.spec.resume.as_deref().is_some_and(same)
            })
    };
    all.iter().filter(got_none).cloned().collect()
}

fn hand_on(source: &SandboxDir, to: &SandboxDir) -> io::Result<()> {
    // Without namespaces the engine's data hold absolute paths: the old ones must go on working.
    let keep_paths = source
        .record()
        .is_some_and(|record| record.isolation == Isolation::None);
    for name in HANDED_ON {
        let (old, new) = (source.path().join(name), to.path().join(name));
        if old.is_symlink() || !old.exists() || new.exists() {
            continue;
        }
        std::fs::rename(&old, &new)?;
        if keep_paths {
            std::os::unix::fs::symlink(&new, &old)?;
        }
    }
    Ok(())
}
