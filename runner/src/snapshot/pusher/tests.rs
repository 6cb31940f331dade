//! Pushing through restarts of the runner, to a repository in a directory.

use errand_protocol::runner::GitAuthor;
use tokio::sync::{Mutex, mpsc, watch};

use super::*;
use crate::mask::Masks;
use crate::snapshot::place::{Place, git};
use crate::snapshot::transfer::Transfer;
use crate::state::StateFile;

/// A workspace that was cloned from `origin.git`.
fn place() -> Place {
    let place = Place::new();
    let dir = place.dir.path();
    git(dir, &["init", "-q", "--bare", "-b", "main", "origin.git"]);
    git(dir, &["clone", "-q", "origin.git", "workspace"]);
    place.git(&["checkout", "-qb", "main"]);
    place.git(&["commit", "-q", "--allow-empty", "-m", "base"]);
    place.git(&["push", "-q", "origin", "main"]);
    place.state().update(|state| state.cloned = true).unwrap();
    place
}

impl Place {
    /// The notes, as another process finds them.
    fn state(&self) -> StateFile {
        StateFile::open(&self.config.state.join("runner.json"))
    }

    /// A process that pushes; its reports.
    fn saver(&self) -> (Arc<Saver>, mpsc::Receiver<Report>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (reports, told) = mpsc::channel(8);
        let token = watch::Sender::new("x".to_owned());
        let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        let saver = Saver {
            config: self.config.clone(),
            state: self.state(),
            transfer: Transfer::new(&self.config, http, token.subscribe()),
            engine: watch::Sender::new(None).subscribe(),
            token: token.subscribe(),
            masks: watch::Sender::new(Masks::default()).subscribe(),
            reports,
            index: Mutex::new(()),
        };
        (Arc::new(saver), told)
    }

    fn order(&self) -> Order {
        let who = GitAuthor {
            name: "ada".to_owned(),
            email: "ada@example.com".to_owned(),
        };
        Order {
            stop: crate::clock::now(),
            work: Authorship {
                author: who.clone(),
                committer: who,
                co_author: false,
                message: "Unfinished".to_owned(),
            },
            to: GitProxy {
                origin: self.dir.path().join("origin.git").display().to_string(),
                rewrites: Vec::new(),
                branch: "errand/ses_1".parse().unwrap(),
            },
        }
    }

    /// What a process of its own makes of an order.
    async fn push(&self) -> PushOutcome {
        let (saver, mut told) = self.saver();
        let order = self.order();
        let mut pusher = Pusher::default();
        pusher.push(&saver, order.clone());
        pusher.push(&saver, order.clone());
        let report = told.recv().await.unwrap();
        let RunnerEvent::PushEnded { stop, outcome } = report.event else {
            panic!("{:?}", report.event)
        };
        assert_eq!((stop, report.answer), (order.stop, false));
        drop((saver, pusher));
        assert!(told.recv().await.is_none(), "one answer to both");
        outcome
    }

    /// The commit that is there now.
    fn there(&self) -> String {
        git(&self.dir.path().join("origin.git"), &["rev-parse", "errand/ses_1-wip"])
    }
}

fn commit(outcome: PushOutcome) -> String {
    let PushOutcome::Pushed { pushed, lacks: None } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(pushed.branch.as_str(), "errand/ses_1-wip");
    pushed.commit
}

#[tokio::test]
async fn the_same_work_is_pushed_once_however_often_it_is_asked_for() {
    let place = place();
    assert_eq!(place.push().await, PushOutcome::Nothing {});
    place.write("a.txt", "a");
    let first = commit(place.push().await);
    assert_eq!(place.there(), first);
    // A host that is not asked again cannot refuse.
    std::fs::rename(place.dir.path().join("origin.git"), place.dir.path().join("moved.git")).unwrap();
    assert_eq!(commit(place.push().await), first);
    std::fs::rename(place.dir.path().join("moved.git"), place.dir.path().join("origin.git")).unwrap();
    place.write("a.txt", "b");
    let second = commit(place.push().await);
    assert_ne!(second, first);
    assert_eq!(place.there(), second, "in place of what was there");
}

#[tokio::test]
async fn a_process_that_ended_in_the_middle_is_followed_by_one_that_pushes_the_same_commit() {
    let place = place();
    place.write("a.txt", "a");
    let first = commit(place.push().await);
    // As after a kill between the push and the note of it.
    place
        .state()
        .update(|state| state.push.as_mut().unwrap().done = false)
        .unwrap();
    assert_eq!(commit(place.push().await), first);
    // As after one before the push.
    git(
        &place.dir.path().join("origin.git"),
        &["update-ref", "-d", "refs/heads/errand/ses_1-wip"],
    );
    place
        .state()
        .update(|state| state.push.as_mut().unwrap().done = false)
        .unwrap();
    assert_eq!(commit(place.push().await), first);
    assert_eq!(place.there(), first);
}

#[tokio::test]
async fn what_fails_is_told_and_can_be_tried_again() {
    let place = place();
    place.write("a.txt", "a");
    std::fs::rename(place.dir.path().join("origin.git"), place.dir.path().join("moved.git")).unwrap();
    let PushOutcome::Failed { cause } = place.push().await else {
        panic!("it went somewhere")
    };
    assert_eq!(cause.code, "push_refused");
    assert!(
        cause
            .message
            .ends_with("It is kept in the session's sandbox and its snapshot.")
    );
    std::fs::rename(place.dir.path().join("moved.git"), place.dir.path().join("origin.git")).unwrap();
    assert_eq!(commit(place.push().await), place.there());

    git(&place.config.workspace, &["fetch", "-q", "origin"]);
    git(
        &place.config.workspace,
        &["reset", "-q", "--hard", "origin/errand/ses_1-wip"],
    );
    assert_eq!(place.push().await, PushOutcome::Nothing {}, "it is there already");
    git(&place.config.workspace, &["init", "-q", "inner"]);
    git(
        &place.config.workspace.join("inner"),
        &["commit", "-q", "--allow-empty", "-m", "inner"],
    );
    let PushOutcome::Failed { cause } = place.push().await else {
        panic!("a repository inside is not pushed")
    };
    assert!(
        cause.message.contains("nothing new but repositories inside"),
        "{cause:?}"
    );

    std::fs::remove_dir_all(place.config.workspace.join(".git")).unwrap();
    let PushOutcome::Failed { cause } = place.push().await else {
        panic!("there is no repository")
    };
    assert_eq!(cause.code, "push_failed");
}
