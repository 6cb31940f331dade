//! A repository on the host's own disk, made readable for one sandbox: its git directory and nothing beside it.
//!
//! What is shown: the objects and refs that a clone needs, read-only, at the same path. What is not: the working
//! tree (unversioned files such as `.env`), the repository's configuration beyond its format (it may hold
//! credentials), and its reference logs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::dirs::SandboxDir;
use crate::launch::{text, words};

/// More links in a chain of alternates than git itself follows.
const MAX_ALTERNATES: usize = 8;

/// Why a path cannot be used as a repository; for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RepoError(String);

/// A checked repository and what of it must be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalRepo {
    /// Directories to show: the git directory, and what it borrows objects from.
    dirs: Vec<Shown>,
    /// A worktree's `.git` file.
    link: Option<Shown>,
    /// Git directories whose configuration and logs are covered.
    git_dirs: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Shown {
    source: PathBuf,
    at: PathBuf,
}

impl LocalRepo {
    /// Checks the repository at `path`; `state` is the host's own directory, which no sandbox may see.
    pub fn check(path: &Path, state: &Path) -> Result<Self, RepoError> {
        refuse_reserved(path)?;
        let root = fs::canonicalize(path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                no(path, "does not exist on the sandbox host")
            } else {
                no(path, &format!("cannot be read ({error})"))
            }
        })?;
        if !root.is_dir() {
            return Err(no(path, "is not a directory"));
        }
        let mut repo = Self {
            dirs: Vec::new(),
            link: None,
            git_dirs: Vec::new(),
        };
        let dot_git = path.join(".git");
        let git_dir = if dot_git.is_file() {
            repo.link = Some(show(&dot_git)?);
            repo.add_linked(path, &dot_git)?
        } else if dot_git.is_dir() {
            repo.add_git_dir(&dot_git)?
        } else if is_git_dir(&root) {
            repo.add_git_dir(path)?
        } else {
            return Err(no(path, "is not a git repository"));
        };
        repo.add_alternates(path, &git_dir)?;
        repo.refuse_host_state(path, state)?;
        Ok(repo)
    }

    /// The bubblewrap arguments that show it; writes the covering files into the sandbox's own directory.
    pub fn mounts(&self, dir: &SandboxDir) -> io::Result<Vec<String>> {
        let mut args = Vec::new();
        for shown in self.dirs.iter().chain(&self.link) {
            args.extend(words(["--ro-bind", &text(&shown.source), &text(&shown.at)]));
        }
        for (index, git_dir) in self.git_dirs.iter().enumerate() {
            // Without one there is nothing to cover, and no place to put the cover on.
            let Ok(config) = fs::read_to_string(git_dir.join("config")) else {
                continue;
            };
            let cover = dir.path().join("etc").join(format!("repo-config-{index}"));
            fs::write(&cover, format_settings(&config))?;
            args.extend(words(["--ro-bind", &text(&cover), &text(&git_dir.join("config"))]));
        }
        for logs in self
            .git_dirs
            .iter()
            .map(|git_dir| git_dir.join("logs"))
            .filter(|logs| logs.is_dir())
        {
            args.extend(words(["--tmpfs", &text(&logs)]));
        }
        Ok(args)
    }

    fn add_git_dir(&mut self, at: &Path) -> Result<PathBuf, RepoError> {
        let shown = show(at)?;
        if !is_git_dir(&shown.source) {
            return Err(no(at, "is not a git directory"));
        }
        let source = shown.source.clone();
        self.git_dirs.push(at.to_path_buf());
        self.dirs.push(shown);
        Ok(source)
    }

    /// A worktree: its `.git` file names its own git directory, which names the shared one around it.
    fn add_linked(&mut self, path: &Path, dot_git: &Path) -> Result<PathBuf, RepoError> {
        let line = fs::read_to_string(dot_git).map_err(|error| no(path, &format!("cannot be read ({error})")))?;
        let named = line
            .trim()
            .strip_prefix("gitdir: ")
            .ok_or_else(|| no(path, "has a .git file that names no git directory"))?;
        let own = fs::canonicalize(path.join(named)).map_err(|_| no(path, "is a worktree whose repository is gone"))?;
        let common = fs::read_to_string(own.join("commondir")).map_or_else(|_| own.clone(), |dir| own.join(dir.trim()));
        let common = fs::canonicalize(common).map_err(|_| no(path, "is a worktree whose repository is gone"))?;
        if !own.starts_with(&common) {
            return Err(no(
                path,
                "has its git directory in an unusual place; use the main repository's path",
            ));
        }
        self.add_git_dir(&common)
    }

    fn add_alternates(&mut self, path: &Path, git_dir: &Path) -> Result<(), RepoError> {
        let mut objects = vec![git_dir.join("objects")];
        while let Some(from) = objects.pop() {
            let listed = fs::read_to_string(from.join("info/alternates")).unwrap_or_default();
            for line in listed.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let shown =
                    show(&from.join(line)).map_err(|_| no(path, "borrows objects from a repository that is gone"))?;
                if self.dirs.len() > MAX_ALTERNATES {
                    return Err(no(path, "borrows objects from too many repositories"));
                }
                objects.push(shown.source.clone());
                self.dirs.push(shown);
            }
        }
        Ok(())
    }

    fn refuse_host_state(&self, path: &Path, state: &Path) -> Result<(), RepoError> {
        let state = fs::canonicalize(state).unwrap_or_else(|_| state.to_path_buf());
        let overlaps = |shown: &Shown| shown.source.starts_with(&state) || state.starts_with(&shown.source);
        if self.dirs.iter().any(overlaps) {
            return Err(no(path, "holds the sandbox host's own data"));
        }
        Ok(())
    }
}

/// Inside, these paths are the sandbox's own.
fn refuse_reserved(path: &Path) -> Result<(), RepoError> {
    let reserved = [
        "/workspace",
        "/state",
        "/proc",
        "/dev",
        "/sys",
        "/opt/errand",
        "/home/errand",
    ];
    if reserved.iter().any(|own| path.starts_with(own)) {
        return Err(no(path, "is at a path that means something else inside a sandbox"));
    }
    Ok(())
}

fn show(at: &Path) -> Result<Shown, RepoError> {
    let source = fs::canonicalize(at).map_err(|error| no(at, &format!("cannot be read ({error})")))?;
    Ok(Shown {
        source,
        at: at.to_path_buf(),
    })
}

fn is_git_dir(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}

/// A whole sentence: a person reads it as the reason why the session did not start.
fn no(path: &Path, why: &str) -> RepoError {
    RepoError(format!("The repository {} {why}.", path.display()))
}

/// Of a repository's configuration, what describes its format: without it git misreads the repository.
fn format_settings(config: &str) -> String {
    let mut section = String::new();
    let mut kept = String::new();
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.to_ascii_lowercase();
            continue;
        }
        let key = line.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
        let keep = match section.as_str() {
            "[core]" => ["repositoryformatversion", "bare"].contains(&key.as_str()),
            "[extensions]" => ["objectformat", "refstorage", "compatobjectformat", "noop"].contains(&key.as_str()),
            _ => false,
        };
        if keep {
            kept.extend([&section, "\n\t", line, "\n"]);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git_dir(path: &Path) {
        for dir in ["objects/info", "refs"] {
            fs::create_dir_all(path.join(dir)).unwrap();
        }
        fs::write(path.join("HEAD"), "ref: refs/heads/main\n").unwrap();
    }

    fn sources(repo: &LocalRepo) -> Vec<PathBuf> {
        repo.dirs.iter().map(|shown| shown.source.clone()).collect()
    }

    struct Place {
        _keep: tempfile::TempDir,
        root: PathBuf,
        state: PathBuf,
    }

    fn place() -> Place {
        let keep = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(keep.path()).unwrap();
        let state = root.join("host-state");
        fs::create_dir_all(&state).unwrap();
        Place {
            _keep: keep,
            root,
            state,
        }
    }

    #[test]
    fn of_a_working_tree_only_the_git_directory_is_shown() {
        let place = place();
        let repo = place.root.join("repo");
        git_dir(&repo.join(".git"));
        fs::write(repo.join(".env"), "SECRET=1").unwrap();
        let checked = LocalRepo::check(&repo, &place.state).unwrap();
        assert_eq!(sources(&checked), [repo.join(".git")]);
    }

    #[test]
    fn a_bare_repository_is_shown_whole() {
        let place = place();
        let repo = place.root.join("repo.git");
        git_dir(&repo);
        assert_eq!(sources(&LocalRepo::check(&repo, &place.state).unwrap()), [repo]);
    }

    #[test]
    fn a_worktree_shows_the_shared_git_directory_and_its_own_link() {
        let place = place();
        let main = place.root.join("main");
        git_dir(&main.join(".git"));
        let own = main.join(".git/worktrees/w");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        let tree = place.root.join("w");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        let checked = LocalRepo::check(&tree, &place.state).unwrap();
        assert_eq!(sources(&checked), [main.join(".git")]);
        assert_eq!(checked.link.unwrap().at, tree.join(".git"));
    }

    #[test]
    fn borrowed_objects_are_shown_and_missing_ones_are_refused() {
        let place = place();
        let (repo, lender) = (place.root.join("repo"), place.root.join("lender"));
        git_dir(&repo.join(".git"));
        git_dir(&lender);
        let alternates = repo.join(".git/objects/info/alternates");
        fs::write(&alternates, format!("{}\n", lender.join("objects").display())).unwrap();
        let checked = LocalRepo::check(&repo, &place.state).unwrap();
        assert_eq!(sources(&checked), [repo.join(".git"), lender.join("objects")]);
        fs::write(&alternates, "/nowhere/objects\n").unwrap();
        assert!(LocalRepo::check(&repo, &place.state).is_err());
    }

    #[test]
    fn alternates_in_a_circle_are_refused() {
        let place = place();
        let repo = place.root.join("repo");
        git_dir(&repo);
        fs::write(
            repo.join("objects/info/alternates"),
            format!("{}\n", repo.join("objects").display()),
        )
        .unwrap();
        assert!(LocalRepo::check(&repo, &place.state).is_err());
    }

    #[test]
    fn what_is_no_repository_or_the_hosts_own_is_refused() {
        let place = place();
        let plain = place.root.join("plain");
        fs::create_dir_all(&plain).unwrap();
        git_dir(&place.state.join("inside"));
        git_dir(&place.root);
        for bad in [
            plain.as_path(),
            &place.root.join("missing"),
            &place.state.join("inside"),
            &place.root,
            Path::new("/etc/passwd"),
            Path::new("/workspace/x"),
            Path::new("/"),
        ] {
            assert!(LocalRepo::check(bad, &place.state).is_err(), "{}", bad.display());
        }
    }

    #[test]
    fn credentials_in_the_configuration_are_not_shown() {
        let config = "[core]\n\trepositoryformatversion = 1\n\tsshCommand = ssh -i key\n[remote \"o\"]\n\turl = https://tok@h/x\n[extensions]\n\tobjectFormat = sha256\n[http]\n\textraheader = x\n";
        assert_eq!(
            format_settings(config),
            "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectFormat = sha256\n"
        );
    }
}
