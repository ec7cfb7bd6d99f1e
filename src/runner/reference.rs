//! Finds the texts and secrets that a tenant file refers to: in the environment, in a file, in what a command prints.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Host;
use crate::job::{self, Reference, Text};
use crate::secret::Secret;

/// How long a command may take to print a secret. Password managers ask a server, and sometimes a person.
const COMMAND_TIME: Duration = Duration::from_secs(60);

/// The longest secret in bytes. Tokens of the service have some hundred bytes, a 4096-bit key in PEM 3,300.
const LONGEST_SECRET: u64 = 64 * 1024;

/// A reference that leads to nothing. It never holds what was found.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {place}: {reason}")]
pub struct UnresolvedReference {
    /// The key of the tenant file.
    pub key: &'static str,
    /// Where it refers to.
    pub place: String,
    /// What is wrong there.
    pub reason: String,
}

/// Where references are looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver<'a> {
    pub(super) host: &'a Host,
    /// The folder of the file that refers.
    pub(super) base: &'a Path,
}

impl Resolver<'_> {
    /// A text, given plainly or by reference.
    pub(super) async fn text(&self, key: &'static str, text: &Text) -> Result<String, UnresolvedReference> {
        match text {
            Text::Plain(plain) => Ok(plain.clone()),
            Text::Reference(reference) => self.find(key, reference).await,
        }
    }

    /// An optional text.
    pub(super) async fn option(
        &self,
        key: &'static str,
        text: Option<&Text>,
    ) -> Result<Option<String>, UnresolvedReference> {
        match text {
            Some(text) => self.text(key, text).await.map(Some),
            None => Ok(None),
        }
    }

    /// An optional secret.
    pub(super) async fn secret(
        &self,
        key: &'static str,
        reference: Option<&Reference>,
    ) -> Result<Option<Secret>, UnresolvedReference> {
        match reference {
            Some(reference) => Ok(Some(Secret::new(&self.find(key, reference).await?))),
            None => Ok(None),
        }
    }

    /// A secret that need not be there, because a token store may hold a later one.
    pub(super) async fn optional_secret(
        &self,
        key: &'static str,
        reference: Option<&Reference>,
    ) -> Result<Option<Secret>, UnresolvedReference> {
        match reference {
            Some(Reference::Env(variable)) if (self.host.variable)(variable).is_none() => Ok(None),
            reference => self.secret(key, reference).await,
        }
    }

    async fn find(&self, key: &'static str, reference: &Reference) -> Result<String, UnresolvedReference> {
        let (place, found) = match reference {
            Reference::Env(variable) => {
                let found = (self.host.variable)(variable).ok_or_else(|| "it is not set".to_owned());
                (format!("environment variable {variable}"), found)
            }
            Reference::File(file) => {
                let path = job::resolve_path(self.base, file);
                let found = read_secret(&path).map_err(|error| error.to_string());
                (path.display().to_string(), found)
            }
            Reference::Command(words) => (
                format!("command {}", words.first().map_or("", String::as_str)),
                run(words, self.base).await,
            ),
        };
        let found = found.map(|text| text.trim().to_owned());
        match found {
            Ok(text) if !text.is_empty() => Ok(text),
            Ok(_) => Err(UnresolvedReference {
                key,
                place,
                reason: "it is empty".to_owned(),
            }),
            Err(reason) => Err(UnresolvedReference { key, place, reason }),
        }
    }
}

/// Reads a file with a secret. One that others may read is refused: whoever can read it owns the tenant.
fn read_secret(path: &Path) -> io::Result<String> {
    let facts = fs::metadata(path)?;
    if facts.len() > LONGEST_SECRET {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large for a secret",
        ));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = facts.permissions().mode();
        if mode & 0o077 != 0 {
            let message = format!(
                "others may read or write it (mode {:03o}); make it 600",
                mode & 0o777
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
    }
    fs::read_to_string(path)
}

async fn run(words: &[String], base: &Path) -> Result<String, String> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("it is empty".to_owned());
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(base)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(COMMAND_TIME, command.output())
        .await
        .map_err(|_| format!("it took longer than {} s", COMMAND_TIME.as_secs()))?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| "what it printed is not UTF-8".to_owned())
}
