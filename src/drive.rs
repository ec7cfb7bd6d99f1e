//! The seam between the operations and the service: a drive that can be listed, read and written.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;

use crate::entry::{Entry, Root, Scope};

mod sharing;

pub use crate::entry::Detail;
pub use sharing::{Grant, Party, PartyKind, Reach, Right, Rules, Sharing, SharingChange};

/// Result of a call across the seam.
pub type Result<T> = std::result::Result<T, Error>;

/// A tenant's drives, whatever the API generation behind them.
///
/// Every method waits for its own place in the rate limit, retries what is worth retrying inside one budget, and
/// may be dropped at any await point without leaving anything half done on this side.
/// An [`Error`] is final: retries are spent when it is seen.
#[async_trait]
pub trait Drive: fmt::Debug + Send + Sync {
    /// The roots a scope stands for, readable or refused.
    ///
    /// One named root that cannot be reached comes back as [`crate::entry::Access::Refused`], not as an error;
    /// an error means that the list of roots itself could not be had.
    async fn roots(&self, scope: &Scope) -> Result<Vec<Root>>;

    /// One page of a folder, the first without `page`. As many items as the service allows in one page.
    async fn children(&self, folder: &Entry, page: Option<&PageToken>) -> Result<Page>;

    /// What the service says of an entry now.
    async fn stat(&self, entry: &Entry) -> Result<Entry>;

    /// The content of `file`, from byte `from` on where the service allows that, else from 0: [`Download::from`] says which.
    async fn download(&self, file: &Entry, from: u64) -> Result<Download>;

    /// Makes a folder. A folder or file of that name is a [`ErrorKind::Conflict`].
    ///
    /// A lost answer is settled by looking: the call makes one folder or none.
    async fn create_folder(&self, parent: &Entry, name: &str) -> Result<Entry>;

    /// Uploads a file; the entry that comes back has the name and size the service gave it.
    ///
    /// A name that is taken is a [`ErrorKind::Conflict`] unless [`NewFile::overwrite`] is set.
    /// The source may be opened several times. A lost answer is settled by looking.
    async fn upload(&self, parent: &Entry, new: &NewFile, source: &dyn ByteSource) -> Result<Entry>;

    /// Moves an entry to the drive's trash.
    async fn remove(&self, entry: &Entry) -> Result<()>;

    /// Gives an entry another name, another folder, or both, and returns it as it then is.
    async fn relocate(&self, entry: &Entry, parent: Option<&Entry>, name: Option<&str>) -> Result<Entry>;

    /// One kind of detail that listings do not tell, as the service's own objects.
    async fn detail(&self, entry: &Entry, detail: Detail) -> Result<Vec<Value>>;

    /// Who may do what on a shared drive's root, or on a folder in it that has permissions of its own.
    async fn sharing(&self, entry: &Entry) -> Result<Sharing>;

    /// Changes who may do what. Nothing is taken from anybody but what the change itself names.
    ///
    /// A lost answer is settled by looking; what is so already is no error.
    async fn change_sharing(&self, entry: &Entry, change: &SharingChange) -> Result<()>;

    /// Everybody of a kind whom the tenant's directory lists. Who is deleted is left out.
    async fn parties(&self, kind: PartyKind) -> Result<Vec<Party>>;
}

/// Where the next page of a listing begins. Opaque; saved in the ledger after the page before it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageToken(pub String);

/// One page of a folder's listing.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The items that could be read.
    pub entries: Vec<Entry>,
    /// The items that could not: without an id or a name, or of a wrong type.
    pub broken: Vec<BrokenItem>,
    /// Where the next page begins; `None` closes the listing.
    pub next: Option<PageToken>,
    /// Whether the page held as many items as were asked for. A full page that is also the last is worth a remark.
    pub full: bool,
}

/// An item of a listing that cannot be worked with.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokenItem {
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Its name, where it has one.
    pub name: Option<String>,
    /// Reason code for the manifest: `no-name`, `no-id` or `malformed`.
    pub reason: &'static str,
    /// The item as the service sent it.
    pub raw: Value,
}

/// Content on its way from the service.
pub struct Download {
    /// The offset of the first byte that will come.
    pub from: u64,
    /// Length of the whole content in bytes, where the server told it.
    pub size: Option<u64>,
    /// How many times the server was asked until it answered, at least 1.
    pub attempts: u32,
    /// The content. The stream holds its connection; dropping it closes that.
    pub body: BoxStream<'static, Result<Piece>>,
}

impl fmt::Debug for Download {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Download")
            .field("from", &self.from)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A step of a [`Download`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes.
    Bytes(Bytes),
    /// The connection broke and was made good; the next bytes follow where the last ended.
    Resumed {
        /// Whether the service vouched that the content is still the same.
        same: bool,
    },
    /// The connection broke and the server starts anew: what came so far is void, the next byte is byte 0.
    Restarted,
}

/// What an upload is told before its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Name in the drive.
    pub name: String,
    /// Length in bytes. The source must give exactly as many.
    pub size: u64,
    /// Modified time to keep, where the API can.
    pub modified: Option<Timestamp>,
    /// Whether a file of that name may be replaced.
    pub overwrite: bool,
}

/// Bytes that can be read again, which is what makes an upload retryable.
#[async_trait]
pub trait ByteSource: Send + Sync {
    /// The bytes from `offset` to the end. An error of the stream ends the upload with [`ErrorKind::Source`].
    async fn open(&self, offset: u64) -> std::io::Result<BoxStream<'static, std::io::Result<Bytes>>>;
}

/// A call that failed for good.
#[derive(Debug, thiserror::Error)]
#[error("{operation} of {subject}: {message}")]
pub struct Error {
    /// What the caller may decide on.
    pub kind: ErrorKind,
    /// The operation, in the words of the API's catalogue, for example `drive.download`.
    pub operation: &'static str,
    /// The file, folder, drive or address it was about.
    pub subject: String,
    /// What the server or the connection said, without secrets.
    pub message: String,
    /// How often it was tried.
    pub attempts: u32,
    /// What lay under it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error after one try and with nothing under it.
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
    ) -> Error {
        Error {
            kind,
            operation,
            subject: subject.into(),
            message: message.into(),
            attempts: 1,
            source: None,
        }
    }
}

/// Why a call failed, as far as a caller can act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The item is not there (any more).
    NotFound,
    /// The token is good, but may not do this.
    Denied,
    /// The token is refused even after it was renewed: the run cannot go on.
    Unauthenticated,
    /// Something of that name is there already.
    Conflict,
    /// The file is larger than the service takes (10 GiB, API 2.0 docs, EN/drive-file-root-create).
    TooLarge,
    /// The target has no room.
    QuotaFull,
    /// The content is not what the listing said.
    Changed,
    /// The service could not be reached or did not answer in the budget of tries and time.
    Unavailable {
        /// How long the service asked us to wait, when it did.
        retry_after: Option<Duration>,
    },
    /// The answer is not one the documents describe.
    Protocol,
    /// The request is not one this API generation can answer.
    Unsupported,
    /// The bytes to upload could not be read here.
    Source,
    /// The caller's stop came first.
    Cancelled,
}

impl ErrorKind {
    /// The reason code of the manifest's `reason` column.
    pub fn code(&self) -> &'static str {
        match self {
            ErrorKind::NotFound => "not-found",
            ErrorKind::Denied => "denied",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::Conflict => "conflict",
            ErrorKind::TooLarge => "too-large",
            ErrorKind::QuotaFull => "quota-full",
            ErrorKind::Changed => "changed",
            ErrorKind::Unavailable { .. } => "unavailable",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Source => "source",
            ErrorKind::Cancelled => "cancelled",
        }
    }
}
