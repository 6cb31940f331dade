//! git's configuration that is the runner's own: who commits, and how the session's repository is reached through the
//! control plane. A file beside the workspace, which git is told of by the environment; neither the repository's nor the
//! user's own configuration is touched for it.
//!
//! The repository's address leads to the relay on the loopback, which puts the sandbox token on. The key in the file
//! opens nothing but the relay; it is in no address and in no remote.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;

use errand_protocol::git::{GitRewrite, GitSetup, is_name_character};
use errand_protocol::runner::GitAuthor;

use crate::config::Config;
use crate::state::RelayNote;

/// Where the proxy's addresses begin, on the control plane and on the relay.
pub const PREFIX: &str = "/git";

/// Where the file is. It need not be there.
pub fn path(config: &Config) -> PathBuf {
    config.state.join("gitconfig")
}

/// Tells git of the file: for whatever starts git in the sandbox.
pub fn environment(config: &Config) -> [(&'static str, String); 3] {
    [
        ("GIT_CONFIG_COUNT", "1".to_owned()),
        ("GIT_CONFIG_KEY_0", "include.path".to_owned()),
        ("GIT_CONFIG_VALUE_0", path(config).display().to_string()),
    ]
}

/// Writes the file, for the relay as it is now.
///
/// # Errors
/// When it cannot be written.
pub fn write(config: &Config, setup: Option<&GitSetup>, relay: &RelayNote) -> io::Result<()> {
    let file = path(config);
    let fresh = file.with_extension("new");
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    out.write_all(setup.map(|setup| content(setup, relay)).unwrap_or_default().as_bytes())?;
    std::fs::rename(fresh, file)
}

fn content(setup: &GitSetup, relay: &RelayNote) -> String {
    let GitAuthor { name, email } = &setup.committer;
    let mut text = format!("[committer]\n\tname = {}\n\temail = {}\n", quoted(name), quoted(email));
    let Some(proxy) = &setup.proxy else { return text };
    let base = format!("http://127.0.0.1:{}", relay.port);
    let bearer = quoted(&format!("Authorization: Bearer {}", relay.key));
    // A host that says nothing for two minutes does not keep the agent waiting for ever.
    let _ = write!(
        text,
        "[http {}]\n\textraHeader = {bearer}\n\tproxy = \"\"\n\tlowSpeedLimit = 1\n\tlowSpeedTime = 120\n",
        quoted(&format!("{base}{PREFIX}/"))
    );
    for GitRewrite { from, path, one } in &proxy.rewrites {
        let to = format!("{base}{path}");
        lead(&mut text, from, &to);
        if *one {
            stay(&mut text, from);
            lead(&mut text, &format!("{from}.git"), &format!("{to}.git"));
            stay(&mut text, &format!("{from}.git"));
        }
    }
    text
}

/// Addresses that begin with `from` begin with `to` instead. The longest beginning counts.
fn lead(text: &mut String, from: &str, to: &str) {
    let _ = write!(text, "[url {}]\n\tinsteadOf = {}\n", quoted(to), quoted(from));
}

/// Where a name goes on it is another repository's (`app-infra`, `app.github.io`): its address stays what it is. git knows
/// no other way to say where a beginning ends.
fn stay(text: &mut String, from: &str) {
    for byte in (b'!'..=b'~').filter(|byte| is_name_character(*byte)) {
        let longer = format!("{from}{}", char::from(byte));
        lead(text, &longer, &longer);
    }
}

/// A value or a name of a section as git reads it back, whatever is in it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Makes commits name the committer as a co-author, unless the repository has a hook of its own at that place.
///
/// # Errors
/// When it cannot be written.
pub fn co_author(config: &Config, committer: &GitAuthor) -> io::Result<()> {
    let hooks = config.workspace.join(".git/hooks");
    let hook = hooks.join("prepare-commit-msg");
    if hook.exists() {
        return Ok(());
    }
    std::fs::create_dir_all(hooks)?;
    let trailer = format!("Co-authored-by: {} <{}>", committer.name, committer.email).replace('\'', "'\\''");
    let script = format!(
        "#!/bin/sh\n# Errand: the org wishes to see who wrote it with whom.\nexec git interpret-trailers --in-place --if-exists addIfDifferent --trailer '{trailer}' \"$1\"\n"
    );
    std::fs::write(&hook, script)?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755))
}

#[cfg(test)]
mod tests {
    use errand_protocol::git::GitProxy;

    use super::*;

    fn setup(proxy: Option<GitProxy>) -> GitSetup {
        GitSetup {
            committer: GitAuthor {
                name: "Er\"rand\n[x]".to_owned(),
                email: "errand@x".to_owned(),
            },
            co_author: false,
            proxy,
        }
    }

    fn relay() -> RelayNote {
        RelayNote {
            port: 4711,
            key: "the-key".to_owned(),
        }
    }

    /// Where git goes for an address.
    fn as_git_reads(text: &str, address: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gitconfig");
        std::fs::write(&file, text).unwrap();
        let git = std::process::Command::new("git")
            .args(["ls-remote", "--get-url", address])
            .current_dir(dir.path())
            .env("GIT_CONFIG_GLOBAL", &file)
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .output()
            .unwrap();
        String::from_utf8(git.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn the_repositorys_address_leads_to_the_relay_and_the_key_is_in_no_address() {
        let proxy = GitProxy {
            origin: "https://github.com/acme/app.git".to_owned(),
            rewrites: vec![GitRewrite {
                from: "https://github.com/acme/app".to_owned(),
                path: "/git/github.com/acme/app".to_owned(),
                one: true,
            }],
            branch: "errand/ses_1".parse().unwrap(),
        };
        let text = content(&setup(Some(proxy)), &relay());
        for (address, led) in [
            ("https://github.com/acme/app", true),
            ("https://github.com/acme/app/", true),
            ("https://github.com/acme/app.git", true),
            ("https://github.com/acme/app.git/", true),
            ("https://github.com/acme/app-infra", false),
            ("https://github.com/acme/app2.git", false),
            ("https://github.com/acme/app.js", false),
            ("https://github.com/acme/app.github.io", false),
            ("https://github.com/acme/app.git-tools.git", false),
            ("https://github.com/acme/ap", false),
        ] {
            let rest = address.strip_prefix("https://").unwrap();
            let expected = if led {
                format!("http://127.0.0.1:4711/git/{rest}")
            } else {
                address.to_owned()
            };
            assert_eq!(as_git_reads(&text, address), expected);
        }
        assert!(
            text.contains("[http \"http://127.0.0.1:4711/git/\"]\n\textraHeader = \"Authorization: Bearer the-key\"\n")
        );
        assert_eq!(text.matches("the-key").count(), 1);
    }

    #[test]
    fn no_name_breaks_out_of_its_line() {
        let text = content(&setup(None), &relay());
        assert_eq!(
            text,
            "[committer]\n\tname = \"Er\\\"rand[x]\"\n\temail = \"errand@x\"\n"
        );
    }
}
