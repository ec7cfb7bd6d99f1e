//! The token store: a small private file that several processes share.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Tokens as they lie on disk.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Stored {
    /// Opens new access tokens for 90 days (API 2.0 docs, EN/auth-oauth).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When the refresh token was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<Timestamp>,
    /// The last access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<String>,
    /// When the access token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Stored")
            .field("stored_at", &self.stored_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Stored {
    /// The refresh token.
    pub(super) fn refresh(&self) -> Option<Secret> {
        self.refresh_token.as_deref().map(Secret::new)
    }
}

/// A token store, held against other processes until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    path: PathBuf,
    _lock: File,
}

/// How often and for how long another process is waited for: it holds the lock for one request and its retries.
const PATIENCE: Duration = Duration::from_secs(360);
const STEP: Duration = Duration::from_millis(20);

impl Held {
    /// Waits for the store.
    pub(super) async fn lock(path: &Path) -> io::Result<Held> {
        let folder = folder_of(path);
        std::fs::create_dir_all(folder)?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let lock =
            private(OpenOptions::new().create(true).truncate(false).write(true)).open(folder.join(name))?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => {
                    return Ok(Held {
                        path: path.to_owned(),
                        _lock: lock,
                    });
                }
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if waited >= PATIENCE => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "another process holds the token store and does not let go",
                    ));
                }
                Err(TryLockError::WouldBlock) => {
                    tokio::time::sleep(STEP).await;
                    waited += STEP;
                }
            }
        }
    }

    /// What lies in the store.
    pub(super) fn read(&self) -> io::Result<Stored> {
        read(&self.path).map(Option::unwrap_or_default)
    }

    /// Replaces the store in one step: a stop at any moment leaves the old tokens or the new.
    pub(super) fn write(&self, stored: &Stored) -> io::Result<()> {
        let folder = folder_of(&self.path);
        let mut file = tempfile::Builder::new().prefix(".tokens-").tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, stored)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        sync_folder(folder)
    }
}

/// What lies in a token store; `None` when there is none. A store that others may read is refused.
pub(super) fn read(path: &Path) -> io::Result<Option<Stored>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("others may read it (mode {:03o}, must be 600)", mode & 0o777),
            ));
        }
    }
    match serde_json::from_slice(&text) {
        Ok(stored) => Ok(Some(stored)),
        // The parser's own words could show a part of a token.
        Err(_) => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a token store",
        )),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    // Windows keeps no folder entries back, and lets no folder be opened as a file.
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::api::tests::hostile::body;

    #[tokio::test]
    async fn tokens_are_kept_private_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/acme.tokens");
        let held = Held::lock(&path).await.unwrap();
        assert!(held.read().unwrap().refresh_token.is_none());
        let stored = Stored {
            refresh_token: Some("r1".to_owned()),
            stored_at: Some(Timestamp::UNIX_EPOCH),
            ..Stored::default()
        };
        held.write(&stored).unwrap();
        assert_eq!(held.read().unwrap().refresh_token.as_deref(), Some("r1"));
        assert!(!format!("{stored:?}").contains("r1"));
        let names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |mode| std::fs::Permissions::from_mode(mode);
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            std::fs::set_permissions(&path, mode(0o640)).unwrap();
            assert!(read(&path).unwrap_err().to_string().contains("640"));
            std::fs::set_permissions(&path, mode(0o600)).unwrap();
        }
        std::fs::write(&path, "secret-text").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(!error.contains("secret-text"));
    }

    proptest::proptest! {
        #[test]
        fn any_store_is_read_or_refused_without_a_word_of_it(text in body(serde_json::json!({
            "refresh_token": "hidden-r1", "stored_at": "2026-11-23T02:00:00Z", "access_token": "hidden-a1",
            "expires_at": "2026-11-23T03:00:00Z",
        }))) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t");
            private(OpenOptions::new().create_new(true).write(true))
                .open(&path)
                .and_then(|mut file| file.write_all(&text))
                .unwrap();
            match read(&path) {
                Ok(stored) => {
                    let stored = stored.unwrap();
                    let printed = format!("{stored:?}");
                    proptest::prop_assert!(!printed.contains("hidden"));
                    let again: Stored = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
                    proptest::prop_assert_eq!(again.refresh_token, stored.refresh_token);
                    proptest::prop_assert_eq!(again.expires_at, stored.expires_at);
                }
                Err(error) => proptest::prop_assert!(!error.to_string().contains("hidden")),
            }
        }
    }
}
