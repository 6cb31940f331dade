//! The workspace: cloning the session's repository, or making an empty one, with the system's git.
//!
//! Arguments go to git as they are, never through a shell; no credential is asked for or stored. Owns what git's
//! complaints mean for people.

use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use errand_protocol::git::GitProxy;
use errand_protocol::runner::{GitAuthor, RunnerSetup};
use errand_protocol::sandbox::RepoSpec;
use errand_protocol::session::{Cause, StartStep};
use errand_protocol::text::Branch;
use tokio::process::Command;

use crate::cause::{StartFailure, plain};
use crate::config::Config;
use crate::git_config;

const CLONE_TIMEOUT: Duration = Duration::from_mins(10);
const QUICK: Duration = Duration::from_secs(30);
/// What git calls the commit of a branch that has none.
pub const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedOut {
    /// The branch (or the tag that was asked for).
    pub branch: Branch,
    /// The commit; zeros when the repository has no commits yet.
    pub commit: String,
}

/// Fills the workspace: a clone of the session's repository, or an empty repository with one commit.
///
/// # Errors
/// In words that people understand.
pub async fn prepare(config: &Config, setup: &RunnerSetup) -> Result<CheckedOut, StartFailure> {
    let (repo, author, git) = (setup.repo.as_ref(), &setup.author, setup.git.as_ref());
    std::fs::create_dir_all(&config.workspace).map_err(|error| disk(&error))?;
    match repo {
        Some(repo) => clone(config, repo, git.and_then(|git| git.proxy.as_ref())).await?,
        None => empty(config, author).await?,
    }
    set_author(config, author).await.map_err(|error| disk(&error))?;
    if let Some(git) = git.filter(|git| git.co_author) {
        git_config::co_author(config, &git.committer).map_err(|error| disk(&error))?;
    }
    checked_out(config, repo).await
}

/// Removes what an interrupted clone left.
///
/// # Errors
/// When a file cannot be removed.
pub fn clear(workspace: &Path) -> io::Result<()> {
    let Ok(entries) = std::fs::read_dir(workspace) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whose name stands on commits from now on.
///
/// # Errors
/// When git does not take it.
pub async fn set_author(config: &Config, author: &GitAuthor) -> io::Result<()> {
    for (key, value) in [("user.name", &author.name), ("user.email", &author.email)] {
        set(config, key, value).await?;
    }
    Ok(())
}

async fn set(config: &Config, key: &str, value: &str) -> io::Result<()> {
    let output = run(config, &["config", "--local", key, value], QUICK).await?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(complaint(&output)))
    }
}

async fn clone(config: &Config, repo: &RepoSpec, proxy: Option<&GitProxy>) -> Result<(), StartFailure> {
    let mut arguments = vec!["clone", "--quiet", "--no-hardlinks"];
    if let Some(branch) = &repo.branch {
        arguments.extend(["--branch", branch.as_str()]);
    }
    let url = proxy.map_or(repo.url.as_str(), |proxy| proxy.origin.as_str());
    arguments.extend(["--", url, "."]);
    match run(config, &arguments, CLONE_TIMEOUT).await {
        Ok(output) if output.status.success() => match proxy {
            // A push that names no branch goes to the only place where it may.
            Some(GitProxy { branch, .. }) => {
                let pushes = format!("HEAD:refs/heads/{branch}");
                set(config, "remote.origin.push", &pushes)
                    .await
                    .map_err(|error| disk(&error))
            }
            None => Ok(()),
        },
        Ok(output) => Err(failure(&complaint(&output), repo)),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(fault(
            "repo_too_slow",
            format!(
                "Cloning {} took longer than ten minutes. Use a smaller repository, or try again.",
                repo.url
            ),
            true,
        )),
        Err(error) => Err(disk(&error)),
    }
}

async fn empty(config: &Config, author: &GitAuthor) -> Result<(), StartFailure> {
    let name = format!("user.name={}", author.name);
    let email = format!("user.email={}", author.email);
    let commit = [
        "-c",
        &name,
        "-c",
        &email,
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "Start of the workspace",
    ];
    for arguments in [&["init", "--quiet", "-b", "main"][..], &commit[..]] {
        let output = run(config, arguments, QUICK).await.map_err(|error| disk(&error))?;
        if !output.status.success() {
            return Err(failure_of_workspace(&complaint(&output)));
        }
    }
    Ok(())
}

/// What is checked out now.
///
/// # Errors
/// When git does not say.
pub async fn checked_out(config: &Config, repo: Option<&RepoSpec>) -> Result<CheckedOut, StartFailure> {
    let ask = async |arguments: &[&str]| {
        let output = run(config, arguments, QUICK).await.map_err(|error| disk(&error))?;
        let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Ok::<_, StartFailure>(Some(line).filter(|line| output.status.success() && !line.is_empty()))
    };
    // On a tag there is no branch; on a repository without commits there is one, but nothing at its end.
    let head = ask(&["symbolic-ref", "--quiet", "--short", "HEAD"]).await?;
    let asked = repo.and_then(|repo| repo.branch.clone());
    let branch = head.and_then(|name| name.parse().ok()).or(asked);
    let Some(branch) = branch else {
        return Err(failure_of_workspace("HEAD names no branch"));
    };
    let commit = ask(&["rev-parse", "--verify", "--quiet", "HEAD"]).await?;
    Ok(CheckedOut {
        branch,
        commit: commit.unwrap_or_else(|| NO_COMMIT.to_owned()),
    })
}

async fn run(config: &Config, arguments: &[&str], limit: Duration) -> io::Result<Output> {
    let mut command = command(config);
    // The address of the repository may lead through the relay.
    let own = format!("include.path={}", git_config::path(config).display());
    command.args(["-c", &own]).args(arguments);
    tokio::time::timeout(limit, command.output())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// The system's git in the workspace, without anybody's credentials, prompts or helpers.
pub fn command(config: &Config) -> Command {
    let mut command = Command::new("git");
    command
        // `safe.directory` counts only from the command line or the user's own file: a local repository may belong
        // to somebody else. The empty helper switches off whatever the system's file names.
        .args([
            "-c",
            "safe.directory=*",
            "-c",
            "credential.helper=",
            "-c",
            "protocol.ext.allow=never",
        ])
        .current_dir(&config.workspace)
        .env_clear()
        .env("PATH", &config.path)
        .env("HOME", &config.home)
        .env("LC_ALL", "C.UTF-8")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "true")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn fault(code: &str, message: String, retryable: bool) -> StartFailure {
    StartFailure {
        step: StartStep::Cloning,
        cause: Cause::new(code, message),
        retryable,
    }
}

fn disk(error: &io::Error) -> StartFailure {
    failure_of_workspace(&error.to_string())
}

fn failure_of_workspace(said: &str) -> StartFailure {
    if said.contains("No space left") || said.contains("Disk quota") {
        return full();
    }
    fault(
        "workspace_failed",
        format!("The workspace could not be prepared: {}.", plain(said)),
        true,
    )
}

fn full() -> StartFailure {
    fault(
        "disk_full",
        "There is not enough disk space in the sandbox for this repository.".to_owned(),
        false,
    )
}

/// What the git proxy said of it, without the reference of its answer.
pub fn told(said: &str) -> Option<&str> {
    let line = said.lines().find_map(|line| line.strip_prefix("remote: Errand: "))?;
    Some(line.rsplit_once(" (req_").map_or(line, |(why, _)| why).trim())
}

/// What git's complaint about a clone means.
fn failure(said: &str, repo: &RepoSpec) -> StartFailure {
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let url = &repo.url;
    if let Some(why) = told(said) {
        let message = format!("The repository {url} could not be fetched: {why}.");
        let (code, retryable) = match () {
            () if has(&["error: 403", "error: 401"]) => ("repo_auth", false),
            () if has(&["not found"]) => ("repo_not_found", false),
            () => ("repo_unreachable", true),
        };
        return fault(code, message, retryable);
    }
    if has(&["no space left", "disk quota"]) {
        return full();
    }
    if let Some(branch) = repo.branch.as_ref().filter(|_| has(&["remote branch"])) {
        let message = format!(
            "The repository {url} has no branch {branch}. Check the name, or leave it out for the default branch."
        );
        return fault("branch_not_found", message, false);
    }
    if has(&[
        "could not read username",
        "could not read password",
        "authentication failed",
        "terminal prompts disabled",
        "error: 401",
        "error: 403",
    ]) {
        let message = format!(
            "The repository {url} asks for credentials: it is private or does not exist. Check the address; access to private repositories must be set up first."
        );
        return fault("repo_auth", message, false);
    }
    if has(&[
        "not found",
        "does not exist",
        "does not appear to be a git repository",
        "not a git repository",
        "error: 404",
    ]) {
        return fault(
            "repo_not_found",
            format!("There is no repository at {url}. Check the address."),
            false,
        );
    }
    if has(&["permission denied"]) {
        let message = format!("The repository at {url} may not be read from the sandbox. Check its permissions.");
        return fault("repo_auth", message, false);
    }
    let line = said
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("git gave no reason");
    let message = format!(
        "The repository {url} could not be fetched: {}. Try again; check that the host can be reached.",
        plain(line)
    );
    fault("repo_unreachable", message, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(said: &str, branch: Option<&str>) -> (String, bool) {
        let repo = RepoSpec {
            url: "https://example.com/a/b".parse().unwrap(),
            branch: branch.map(|b| b.parse().unwrap()),
        };
        let failure = failure(said, &repo);
        (failure.cause.code, failure.retryable)
    }

    #[test]
    fn what_the_proxy_says_is_passed_on() {
        let repo = RepoSpec {
            url: "https://example.com/a/b".parse().unwrap(),
            branch: None,
        };
        let said = "remote: Errand: example.com refused the credential (req_01)\nfatal: unable to access 'http://127.0.0.1:9/git/x/': The requested URL returned error: 403";
        let failure = failure(said, &repo);
        assert_eq!((failure.cause.code.as_str(), failure.retryable), ("repo_auth", false));
        assert_eq!(
            failure.cause.message,
            "The repository https://example.com/a/b could not be fetched: example.com refused the credential."
        );
    }

    #[test]
    fn each_complaint_of_git_has_its_code() {
        let cases = [
            ("fatal: repository '/x' does not exist", "repo_not_found", false),
            (
                "fatal: repository 'https://example.com/a/b/' not found",
                "repo_not_found",
                false,
            ),
            (
                "fatal: '/x' does not appear to be a git repository",
                "repo_not_found",
                false,
            ),
            (
                "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
                "repo_auth",
                false,
            ),
            ("The requested URL returned error: 403", "repo_auth", false),
            ("fatal: write error: No space left on device", "disk_full", false),
            (
                "fatal: unable to access 'https://e/': Could not resolve host: e",
                "repo_unreachable",
                true,
            ),
            (
                "error: RPC failed; curl 56\nfatal: early EOF\n",
                "repo_unreachable",
                true,
            ),
        ];
        for (said, expected, retryable) in cases {
            assert_eq!(code(said, None), (expected.to_owned(), retryable), "{said}");
        }
        let gone =
            "warning: Could not find remote branch x to clone.\nfatal: Remote branch x not found in upstream origin";
        assert_eq!(code(gone, Some("x")), ("branch_not_found".to_owned(), false));
    }
}
