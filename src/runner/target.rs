//! Where restored files go: a folder of this machine, or drives of a tenant.

use std::collections::HashMap;
use std::sync::Arc;

use super::source::SourceDrive;
use super::{Error, Session, TenantFile, connect};
use crate::archive::Archive;
use crate::blocking::blocking;
use crate::drive::{Drive, ErrorKind};
use crate::entry::{Access, Entry, Root, Scope};
use crate::id::{DriveId, FileId};
use crate::job::{self, Delivery, Face, RestoreOptions, To};
use crate::manifest::Row;
use crate::migrate::Map;
use crate::restore::{Limits, LocalFolder, Place, local_name};

/// The name of a row's item in the target.
type NameOf = Arc<dyn Fn(&Row) -> String + Send + Sync>;

/// Where a restore goes.
pub(super) struct Target {
    pub(super) drive: Arc<dyn Drive>,
    /// The drive that each source drive goes into; those that can be written.
    pub(super) roots: HashMap<DriveId, Root>,
    pub(super) place: Place,
    pub(super) limits: Limits,
    /// Whether modified times are kept there.
    pub(super) times_kept: bool,
    pub(super) name: NameOf,
    pub(super) warnings: Vec<String>,
}

/// The tenant that a job uploads to.
pub(super) fn tenant(session: &Session) -> Result<&TenantFile, Error> {
    let loaded = &session.loaded;
    loaded
        .target
        .as_ref()
        .or(loaded.tenant.as_ref())
        .ok_or(Error::NoTenant)
}

/// Reads the job's map of old and new drives, where it has one.
pub(super) async fn map(session: &Session, delivery: &Delivery) -> Result<Option<Map>, Error> {
    let Some(name) = &delivery.map else {
        return Ok(None);
    };
    let path = job::resolve_path(&session.loaded.base, name);
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::Map {
        path: path.clone(),
        source,
    };
    let opened = path.clone();
    let file = blocking(move || std::fs::File::open(opened))
        .await
        .map_err(|error| failed(error.into()))?;
    let read = blocking(move || Map::read(file)).await;
    read.map(Some).map_err(|error| failed(error.into()))
}

/// Finds the place of each source drive. A local folder is made when it is not there, unless `dry`.
pub(super) async fn find(
    session: &Session,
    options: &RestoreOptions,
    archive: &Archive,
    snapshot: &str,
    drives: &[SourceDrive],
    dry: bool,
) -> Result<Target, Error> {
    if let To::Local(folder) = &options.delivery.to {
        return local(session, folder, drives, dry).await;
    }
    let file = tenant(session)?;
    if session.loaded.target.is_none() {
        // Only a job that names a target may put one tenant's files into another.
        let identity = connect::identity(file, &session.host).await?;
        if !archive.tenant().is_empty() && !identity.is_empty() {
            archive.check_tenant(&identity)?;
        }
    }
    let limits = &session.loaded.job.limits;
    let (drive, _) = connect::connect(file, limits, &session.host, Arc::clone(&session.monitor)).await?;
    let mut warnings = Vec::new();
    let roots = match &options.target_drive {
        Some(scope) => match first_readable(&drive, std::slice::from_ref(scope)).await? {
            Ok(root) => drives
                .iter()
                .map(|source| (source.id.clone(), root.clone()))
                .collect(),
            Err(why) => {
                warnings.push(format!("the drive {scope} cannot be restored into: {why}"));
                HashMap::new()
            }
        },
        None => {
            let map = map(session, &options.delivery).await?;
            let mut roots = HashMap::new();
            for source in drives {
                match first_readable(&drive, &words(source, map.as_ref())).await? {
                    Ok(root) => {
                        roots.insert(source.id.clone(), root);
                    }
                    Err(why) => warnings.push(format!(
                        "the drive {} ({}) has no place to go: {why}",
                        source.id, source.name
                    )),
                }
            }
            roots
        }
    };
    Ok(Target {
        drive,
        roots,
        place: match &options.delivery.to {
            To::Original => Place::Original,
            To::Folder(Some(name)) => Place::Folder(name.clone()),
            To::Folder(None) | To::Local(_) => Place::default_folder(snapshot),
        },
        limits: match file.tenant.dialect() {
            Face::V2 => Limits::default(),
            Face::Classic => Limits::NONE,
        },
        times_kept: file.tenant.dialect() == Face::V2,
        name: Arc::new(|row| row.entry.name.clone()),
        warnings,
    })
}

async fn local(session: &Session, folder: &str, drives: &[SourceDrive], dry: bool) -> Result<Target, Error> {
    let path = job::resolve_path(&session.loaded.base, folder);
    let opened = {
        // A plan looks at nothing in the folder, so that any other stands in for one that is not there yet.
        let path = if dry && !path.is_dir() {
            std::env::temp_dir()
        } else {
            path.clone()
        };
        blocking(move || LocalFolder::open(&path)).await
    };
    let folder = opened.map_err(|source| Error::Results {
        path: path.clone(),
        source,
    })?;
    let root = folder.root();
    Ok(Target {
        roots: drives
            .iter()
            .map(|source| (source.id.clone(), root.clone()))
            .collect(),
        drive: Arc::new(folder),
        place: Place::Original,
        limits: Limits::NONE,
        times_kept: true,
        name: Arc::new(|row| local_name(&row.entry.name, &row.entry.id)),
        warnings: Vec::new(),
    })
}

/// The words by which a source drive's own place may be named in the target, the likeliest first.
fn words(source: &SourceDrive, map: Option<&Map>) -> Vec<Scope> {
    let word = source.id.as_str();
    if let Some(map) = map {
        let root = Root {
            entry: Entry::root(source.id.clone(), FileId::new(FileId::ROOT)),
            name: source.name.clone(),
            quota: None,
            access: Access::Readable,
        };
        return map
            .targets_of(&root)
            .iter()
            .filter_map(|word| word.parse().ok())
            .collect();
    }
    let named = word
        .split_once('/')
        .filter(|(family, _)| *family == "users" && source.name.contains('@'))
        .map(|(family, _)| format!("{family}/{}", source.name));
    [Some(word.to_owned()), named]
        .into_iter()
        .flatten()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// The first of these drives that can be reached; else why there is none.
async fn first_readable(drive: &Arc<dyn Drive>, scopes: &[Scope]) -> Result<Result<Root, String>, Error> {
    let mut why = "no rule names one".to_owned();
    for scope in scopes {
        let roots = match drive.roots(scope).await {
            Ok(roots) => roots,
            Err(error) if error.kind == ErrorKind::Unauthenticated => return Err(error.into()),
            Err(error) => {
                why = error.to_string();
                continue;
            }
        };
        for root in roots {
            match &root.access {
                Access::Readable => return Ok(Ok(root)),
                Access::Refused { reason, message } => why = format!("{scope}: {message} ({reason})"),
            }
        }
    }
    Ok(Err(why))
}
