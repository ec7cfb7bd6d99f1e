//! What a reader can do about an error: one sentence for each kind that has a way out.

use std::error::Error;
use std::io;

use crate::{archive, diff, drive, runner};

/// The hint of the deepest error in the chain that has one.
///
/// A new typed error gets its hints by one more line in [`one`].
pub(super) fn hint_for(error: &(dyn Error + 'static)) -> Option<String> {
    let below = error.source().and_then(hint_for);
    below.or_else(|| one(error))
}

/// The hint of one error, whatever lies under it.
fn one(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<runner::Error>() {
        // Its variants show themselves through it, so that the chain of sources begins below them.
        return match error {
            runner::Error::Drive(error) => one(error),
            runner::Error::Archive(error) => one(error),
            runner::Error::Diff(diff::Error::Before(_) | diff::Error::After(_)) => Some(DAMAGED.to_owned()),
            runner::Error::Reference(_) => Some(
                "the tenant file refers to this place: put the value there, or change the reference"
                    .to_owned(),
            ),
            runner::Error::Connect(_) => Some("see [auth] and [endpoints] in the tenant file".to_owned()),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<archive::Error>() {
        return archive_hint(error).map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<drive::Error>() {
        return drive_hint(error).map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return io_hint(error.kind()).map(str::to_owned);
    }
    None
}

fn drive_hint(error: &drive::Error) -> Option<&'static str> {
    use drive::ErrorKind as Kind;
    match error.kind {
        Kind::Unauthenticated => Some(
            "log in again with `drivejob login TENANT`, or check `token`, `refresh-token`, `client-id` and \
             `client-secret` under [auth] in the tenant file",
        ),
        // The service answers so when a service account asks for a drive: only members have them.
        Kind::Denied if error.message.to_lowercase().contains("service account") => Some(
            "a service account has no drives of its own: use a member's token (`drivejob login TENANT` gets a \
             refresh-token), or set `delegate = true` under [auth]",
        ),
        Kind::Denied => Some(
            "the token may not do this: check `scope` under [auth] in the tenant file, and the member's rights in \
             the admin console",
        ),
        Kind::Unavailable { retry_after: Some(_) } => Some(
            "the service asked to wait: start the job again later, or lower `requests-per-minute` under [limits]",
        ),
        Kind::Unavailable { retry_after: None } => Some(
            "check the network, the proxy (HTTPS_PROXY) and the service's status page, then start the job again: it \
             goes on where it stopped",
        ),
        Kind::Protocol => Some(
            "the answer is not one of this service: check `api` and [endpoints] in the tenant file, and that no \
             proxy answers in its place",
        ),
        Kind::QuotaFull => Some(
            "make room in the target drive or raise its quota, then start the job again: it goes on where it stopped",
        ),
        Kind::TooLarge => Some("the service takes files up to 10 GiB"),
        Kind::Unsupported => Some(
            "this API generation cannot do that: `api = \"v2\"` and `api = \"classic\"` differ in what they offer",
        ),
        Kind::NotFound | Kind::Conflict | Kind::Changed | Kind::Source | Kind::Cancelled => None,
    }
}

fn archive_hint(error: &archive::Error) -> Option<&'static str> {
    use archive::Error;
    match error {
        Error::NotAnArchive(_) => Some("name an archive folder, or a new or empty folder for a new archive"),
        Error::NewerFormat { .. } => Some("use the newest drivejob"),
        Error::OtherTenant { .. } => {
            Some("give each tenant an archive folder of its own: see `archive` in the job file")
        }
        Error::Held(_) => Some("wait until that run has ended; a lock ends with its process"),
        Error::NoSnapshot(_) | Error::HoldsNoFiles(_) => {
            Some("`drivejob snapshots ARCHIVE` lists what is there")
        }
        Error::Damaged { .. } | Error::Manifest { .. } | Error::ManifestHash { .. } => Some(DAMAGED),
        _ => None,
    }
}

const DAMAGED: &str =
    "the archive was changed or its disk is failing: `drivejob verify ARCHIVE` says what can still be read";

fn io_hint(kind: io::ErrorKind) -> Option<&'static str> {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("make room on that disk, then start the job again: it goes on where it stopped")
        }
        io::ErrorKind::PermissionDenied => {
            Some("the user that runs drivejob must be allowed to read and write there")
        }
        io::ErrorKind::ReadOnlyFilesystem => Some("the disk is mounted read-only"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use drive::ErrorKind as Kind;

    #[test]
    fn each_kind_with_a_way_out_names_it() {
        let later = Kind::Unavailable {
            retry_after: Some(Duration::from_secs(9)),
        };
        let silent = Kind::Unavailable { retry_after: None };
        for (kind, message, word) in [
            (Kind::Unauthenticated, "401", "drivejob login"),
            (Kind::Denied, "not for a Service Account", "delegate = true"),
            (Kind::Denied, "403", "scope"),
            (later, "429", "requests-per-minute"),
            (silent, "no route", "HTTPS_PROXY"),
            (Kind::Protocol, "<html>", "[endpoints]"),
            (Kind::QuotaFull, "507", "make room"),
        ] {
            let error = drive::Error::new(kind, "drive.list", "/", message);
            let hint = hint_for(&error).unwrap_or_default();
            assert!(hint.contains(word), "{error}: {hint}");
        }
        let gone = drive::Error::new(Kind::NotFound, "drive.list", "/", "404");
        assert_eq!(hint_for(&gone), None);
    }

    #[test]
    fn the_deepest_error_with_a_hint_speaks() {
        let mut error = drive::Error::new(Kind::Protocol, "drive.list", "/", "cut");
        error.source = Some(Box::new(io::Error::from(io::ErrorKind::StorageFull)));
        assert!(hint_for(&error).is_some_and(|hint| hint.contains("disk")));
        error.source = Some(Box::new(io::Error::from(io::ErrorKind::NotFound)));
        assert!(hint_for(&error).is_some_and(|hint| hint.contains("[endpoints]")));
    }
}
