//! Reads a job file and the tenant files it names.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::job::{self, Format, Job, JobKind, Problem, Tenant, TenantRef};

/// Job and tenant files are small texts; a larger one is something else.
const LONGEST_FILE: u64 = 4 * 1024 * 1024;

/// A job with its tenants, ready to run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The job.
    pub job: Job,
    /// The job file's name without its ending.
    pub name: String,
    /// The folder that the job's relative paths begin from.
    pub base: PathBuf,
    /// The tenant, where the job has one.
    pub tenant: Option<TenantFile>,
    /// The tenant to upload to, where it is another one.
    pub target: Option<TenantFile>,
    /// Tells a changed job from the one that was begun.
    pub fingerprint: String,
}

/// A tenant, and where its relative paths begin.
#[derive(Clone, Debug)]
pub struct TenantFile {
    /// The tenant.
    pub tenant: Tenant,
    /// The folder that its relative paths begin from.
    pub base: PathBuf,
    /// The tenant file's name without its ending; the job's when the tenant stands in the job file.
    pub name: String,
}

/// A job that cannot be run because of its files.
#[derive(Debug)]
pub enum LoadError {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files say something they must not.
    Problems(Vec<Problem>),
}

impl fmt::Display for LoadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Unreadable { path, .. } => write!(formatter, "{} cannot be read", path.display()),
            LoadError::Problems(problems) => match problems.as_slice() {
                [problem] => write!(formatter, "{} is wrong in one place", problem.file),
                [problem, ..] => write!(
                    formatter,
                    "{} is wrong in {} places",
                    problem.file,
                    problems.len()
                ),
                [] => formatter.write_str("the job cannot be read"),
            },
        }
    }
}

impl LoadError {
    /// What the files say that they must not.
    pub fn problems(&self) -> &[Problem] {
        match self {
            LoadError::Unreadable { .. } => &[],
            LoadError::Problems(problems) => problems,
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Unreadable { source, .. } => Some(source),
            LoadError::Problems(_) => None,
        }
    }
}

/// Reads the job file at `path` and the tenant files it names, and checks that they fit together.
///
/// # Errors
/// With everything that is wrong with the first file that is wrong.
pub fn load(path: &Path) -> Result<Loaded, LoadError> {
    let (text, format) = read(path)?;
    let file = path.display().to_string();
    let job = job::parse_job(&text, format, &file).map_err(LoadError::Problems)?;
    let base = folder_of(path);
    let name = stem(path);
    let tenant = job
        .tenant
        .as_ref()
        .map(|tenant| tenant_of(tenant, &base, &name))
        .transpose()?;
    let target = match &job.kind {
        JobKind::Restore(options) => options.delivery.target.as_ref(),
        JobKind::Migrate(options) => options.delivery.target.as_ref(),
        _ => None,
    };
    let target = target.map(|target| tenant_of(target, &base, &name)).transpose()?;
    let mut problems = Vec::new();
    if let Some(tenant) = &tenant {
        problems = job::check_credentials(&job, &tenant.tenant, &file);
    }
    if let Some(target) = &target {
        problems.extend(job::check_target(&job, &target.tenant, &file));
    }
    if !problems.is_empty() {
        let placed = problems
            .into_iter()
            .map(|problem| problem.placed_in(&text, format));
        return Err(LoadError::Problems(placed.collect()));
    }
    let fingerprint = job.fingerprint(tenant.as_ref().map(|file| &file.tenant));
    Ok(Loaded {
        job,
        name,
        base,
        tenant,
        target,
        fingerprint,
    })
}

/// Reads one tenant file.
///
/// # Errors
/// As [`load`].
pub(super) fn load_tenant(path: &Path) -> Result<TenantFile, LoadError> {
    let (text, format) = read(path)?;
    let tenant =
        job::parse_tenant(&text, format, &path.display().to_string()).map_err(LoadError::Problems)?;
    Ok(TenantFile {
        tenant,
        base: folder_of(path),
        name: stem(path),
    })
}

fn tenant_of(reference: &TenantRef, base: &Path, job_name: &str) -> Result<TenantFile, LoadError> {
    match reference {
        TenantRef::Path(path) => load_tenant(&job::resolve_path(base, path)),
        TenantRef::Inline(tenant) => Ok(TenantFile {
            tenant: (**tenant).clone(),
            base: base.to_owned(),
            name: job_name.to_owned(),
        }),
    }
}

fn read(path: &Path) -> Result<(String, Format), LoadError> {
    let unreadable = |source| LoadError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let length = fs::metadata(path).map_err(unreadable)?.len();
    if length > LONGEST_FILE {
        let source = io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {length} bytes"));
        return Err(unreadable(source));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let is_json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    Ok((text, if is_json { Format::Json } else { Format::Toml }))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map_or_else(|| "job".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
