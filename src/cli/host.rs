//! What the program takes from the machine: environment, state folder, name, clock.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::messages::CommandError;
use crate::runner::Host;
use crate::stop::Clock;

/// The machine as this process sees it.
///
/// # Errors
///
/// No state folder can be worked out: the process has no home.
pub(super) fn host() -> Result<Host, CommandError> {
    let state_dir = state_dir(Platform::HERE, &variable).ok_or_else(|| {
        CommandError::usage("there is no folder for drivejob's state: this process has no home")
            .hint("set DRIVEJOB_STATE_DIR to a folder that only this user can read")
    })?;
    Ok(Host {
        variable: Arc::new(variable),
        state_dir,
        clock: Clock::new(Timestamp::now),
        name: name(),
        pid: std::process::id(),
        first_pause: None,
    })
}

/// An environment variable. One that is not Unicode counts as not set.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The families of systems that keep state in different places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    Unix,
    Mac,
    Windows,
}

impl Platform {
    const HERE: Platform = if cfg!(windows) {
        Platform::Windows
    } else if cfg!(target_os = "macos") {
        Platform::Mac
    } else {
        Platform::Unix
    };
}

/// The folder for state: `DRIVEJOB_STATE_DIR`, then what systemd gives a service, then the system's custom.
///
/// Relative paths of the system's own variables are not taken, as the XDG Base Directory Specification demands.
fn state_dir(platform: Platform, variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| variable(name).filter(|text| !text.is_empty());
    let absolute = |name: &str| set(name).map(PathBuf::from).filter(|path| path.has_root());
    if let Some(folder) = set("DRIVEJOB_STATE_DIR") {
        return Some(PathBuf::from(folder));
    }
    match platform {
        Platform::Windows => absolute("LOCALAPPDATA").map(|folder| folder.join("drivejob")),
        Platform::Mac => absolute("HOME").map(|home| home.join("Library/Application Support/drivejob")),
        Platform::Unix => set("STATE_DIRECTORY")
            .and_then(|folders| folders.split(':').next().map(PathBuf::from))
            .filter(|folder| folder.has_root())
            .or_else(|| absolute("XDG_STATE_HOME").map(|folder| folder.join("drivejob")))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state/drivejob"))),
    }
}

#[cfg(unix)]
fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn name() -> String {
    variable("COMPUTERNAME").unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_keeps_its_custom_and_the_user_can_overrule_it() {
        use Platform::{Mac, Unix, Windows};
        type Set = &'static [(&'static str, &'static str)];
        let cases: [(Platform, Set, Option<&str>); 10] = [
            (Unix, &[("HOME", "/h")], Some("/h/.local/state/drivejob")),
            (
                Unix,
                &[("HOME", "/h"), ("XDG_STATE_HOME", "/x")],
                Some("/x/drivejob"),
            ),
            (
                Unix,
                &[("HOME", "/h"), ("XDG_STATE_HOME", "x")],
                Some("/h/.local/state/drivejob"),
            ),
            (
                Unix,
                &[("HOME", "/h"), ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b")],
                Some("/var/lib/a"),
            ),
            (Unix, &[("HOME", "")], None),
            (Unix, &[], None),
            (
                Mac,
                &[("HOME", "/h")],
                Some("/h/Library/Application Support/drivejob"),
            ),
            (Windows, &[("LOCALAPPDATA", "/l")], Some("/l/drivejob")),
            (Windows, &[("HOME", "/h")], None),
            (
                Mac,
                &[("HOME", "/h"), ("DRIVEJOB_STATE_DIR", "here")],
                Some("here"),
            ),
        ];
        for (platform, set, expected) in cases {
            let variable = |wanted: &str| {
                let found = set.iter().find(|(name, _)| *name == wanted);
                found.map(|(_, value)| (*value).to_owned())
            };
            let folder = state_dir(platform, &variable);
            assert_eq!(folder, expected.map(PathBuf::from), "{platform:?} {set:?}");
        }
    }

    #[test]
    fn this_machine_has_a_name() {
        assert!(!name().is_empty());
    }
}
