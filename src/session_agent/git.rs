//! Git of this session's sandbox: whether it may use the proxy (`http::git`), for which repository, and what became of
//! its pushes.

use std::rc::Rc;

use errand_session::Input;

use super::Agent;
use super::commands::{GitAccess, GitPushed, GitSession};
use super::reads::json;
use super::routes::Answer;

/// Only the sandbox of the current generation, and not after the session has been ended.
pub(super) fn access(agent: &Rc<Agent>, command: &GitAccess) -> Answer {
    agent.allow_current_sandbox(&command.org, command.generation)?;
    let session = agent.read(|session| {
        let spec = session.spec();
        GitSession {
            owner: spec.owner.clone(),
            repo: spec.repo.as_ref().map(|repo| repo.url.clone()),
        }
    })?;
    json(&session)
}

/// The repository took a push; also when the sandbox has been replaced while it did.
pub(super) fn pushed(agent: &Rc<Agent>, command: GitPushed) -> Answer {
    agent.allow_sandbox(&command.org)?;
    for pushed in command.pushed {
        agent.step(Input::Pushed(pushed))?;
    }
    json(&())
}
