//! What this machine offers to keep sandboxes apart and limited, found out by doing it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use errand_protocol::sandbox::Isolation;

use crate::cgroup::Cgroups;
use crate::launch;
use crate::options::IsolationChoice;

/// What was found.
#[derive(Debug, Clone)]
pub struct Platform {
    /// bubblewrap, when it works here.
    pub bubblewrap: Option<PathBuf>,
    /// Where limits can be set.
    pub cgroups: Cgroups,
    /// What is missing, and how to get it.
    pub warning: Option<String>,
}

impl Platform {
    /// Looks at the machine; an error when namespaces were demanded and do not work.
    pub fn probe(choice: IsolationChoice) -> Result<Self, String> {
        let cgroups = Cgroups::find();
        let found = match choice {
            IsolationChoice::None => Err("it was switched off (--isolation none)".to_owned()),
            IsolationChoice::Auto | IsolationChoice::Namespaces => working_bubblewrap(),
        };
        let mut warnings = Vec::new();
        if let Err(why) = &found {
            if choice == IsolationChoice::Namespaces {
                return Err(format!("sandboxes cannot be isolated: {why}"));
            }
            warnings.push(format!(
                "Sandboxes are not isolated: code in them can read this machine's files, because {why}."
            ));
        }
        let limits = cgroups.limits();
        let missing: Vec<&str> = ["memory", "pids", "cpu"]
            .into_iter()
            .filter(|name| !limits.iter().any(|l| l == name))
            .collect();
        if !missing.is_empty() {
            warnings.push(format!(
                "No limit on {} is enforced: no cgroup of that kind can be written here.",
                missing.join(", ")
            ));
        }
        Ok(Self {
            bubblewrap: found.ok(),
            cgroups,
            warning: (!warnings.is_empty()).then(|| warnings.join(" ")),
        })
    }

    /// The level, in the contract's words.
    pub fn isolation(&self) -> Isolation {
        if self.bubblewrap.is_some() {
            Isolation::Namespaces
        } else {
            Isolation::None
        }
    }
}

fn working_bubblewrap() -> Result<PathBuf, String> {
    if cfg!(not(target_os = "linux")) {
        return Err("this system has no namespaces; run the host in a Linux machine or container".to_owned());
    }
    let program =
        find_program("bwrap").ok_or("bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)")?;
    let output = Command::new(&program)
        .args(launch::namespace_arguments())
        .args(launch::proc_mounts())
        .args(launch::system_mounts(Path::new("/")))
        .arg("true")
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("bubblewrap could not be started: {error}"))?;
    if output.status.success() {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!(
        "bubblewrap does not work here ({said}); on Ubuntu 24 and later, allow user namespaces for it in AppArmor"
    ))
}

/// The full path of a program on the PATH.
fn find_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
