//! Lists drives from their roots into the ledger, with bounded concurrency.
//!
//! The frontier of the walk is the ledger's table of open folders, not a queue in memory: a tree of any width or depth
//! costs the same, and a run that was stopped goes on with the folders that are still open.
//! Each family of drives has API operations of its own, and so a lane of its own here: all lanes run side by side.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::future::try_join_all;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::blocking::outcome;
use crate::drive::{self, Drive, ErrorKind, Page, PageToken};
use crate::entry::Entry;
use crate::id::Family;
use crate::ledger::{self, Applied, FolderWork, Ledger, Listed, ListedAs, PageFacts, Placement};
use crate::manifest::Outcome;
use crate::monitor::{Counter, DriveState, Monitor};
use crate::path::DrivePath;
use crate::stop::{Clock, Stop};

/// Folders taken from the ledger in one go.
const FOLDERS_PER_CLAIM: u32 = 64;

/// Pages in a row that bring nothing new before a listing counts as running in a circle. A listing that changes while
/// it is read may repeat a page or two; it does not repeat ten.
const STALE_PAGES: u32 = 10;

/// Pages of one folder at most. At 200 items a page (API 2.0 docs, EN/group-folder-file-root-list) these are
/// 20 million items, more than one folder of the service has ever been seen to hold.
const PAGES_PER_FOLDER: u32 = 100_000;

/// Decides what a walk does with an item.
pub type Classify = Arc<dyn Fn(&Entry, &DrivePath) -> ListedAs + Send + Sync>;

/// Finds an item's place in the local file system.
pub type Place = Arc<dyn Fn(&Entry) -> Placement + Send + Sync>;

/// What a walk needs to know.
#[derive(Clone)]
pub struct Options {
    /// Folders of one family that are listed at the same time, at least 1.
    pub listings: usize,
    /// What to do with each item.
    pub classify: Classify,
    /// Where each item goes.
    pub place: Place,
    /// The outcome of a folder whose listing is closed.
    pub folder_outcome: Outcome,
    /// Where the time comes from.
    pub clock: Clock,
}

/// Tells the consumers of a walk that there is more, and that there will be no more.
#[derive(Debug, Default)]
pub struct Progress(watch::Sender<Walked>);

/// How far a walk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Pages applied so far.
    pub pages: u64,
    /// Whether there will be no more.
    pub ended: bool,
}

impl Progress {
    /// A view that wakes up with each page, and at the end.
    pub fn subscribe(&self) -> watch::Receiver<Walked> {
        self.0.subscribe()
    }

    fn tell(&self) {
        self.0.send_modify(|walked| walked.pages += 1);
    }

    fn end(&self) {
        self.0.send_modify(|walked| walked.ended = true);
    }
}

/// Why a walk cannot go on. A folder that cannot be listed is not an error but a failed folder in the ledger.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service refuses the token.
    #[error(transparent)]
    Drive(#[from] drive::Error),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

struct Walk {
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    options: Options,
    monitor: Arc<dyn Monitor>,
    progress: Arc<Progress>,
    stop: Stop,
}

/// Lists every open folder of the ledger, and those found on the way, until none is open or a stop is asked for.
///
/// # Errors
/// When the token is refused or the ledger fails.
pub async fn walk(
    drive: Arc<dyn Drive>,
    ledger: Ledger,
    options: Options,
    monitor: Arc<dyn Monitor>,
    progress: Arc<Progress>,
    stop: Stop,
) -> Result<(), Error> {
    let walk = Arc::new(Walk {
        drive,
        ledger,
        options,
        monitor,
        progress: Arc::clone(&progress),
        stop,
    });
    let lanes = Family::ALL.map(|family| walk_family(Arc::clone(&walk), family));
    let walked = try_join_all(lanes).await;
    progress.end();
    walked.map(|_| ())
}

async fn walk_family(walk: Arc<Walk>, family: Family) -> Result<(), Error> {
    let mut after = 0;
    let mut waiting: VecDeque<FolderWork> = VecDeque::new();
    let mut listing: JoinSet<Result<(), Error>> = JoinSet::new();
    let found = Arc::new(Notify::new());
    loop {
        while listing.len() < walk.options.listings && !walk.stop.is_draining() {
            if waiting.is_empty() {
                waiting.extend(walk.ledger.open_folders(family, after, FOLDERS_PER_CLAIM).await?);
                after = waiting.back().map_or(after, |folder| folder.no);
            }
            let Some(folder) = waiting.pop_front() else {
                break;
            };
            listing.spawn(list_folder(Arc::clone(&walk), folder, Arc::clone(&found)));
        }
        if listing.is_empty() {
            return Ok(());
        }
        tokio::select! {
            Some(joined) = listing.join_next() => {
                if let Some(ended) = outcome(joined) {
                    ended?;
                }
            }
            () = found.notified() => {}
        }
    }
}

async fn list_folder(walk: Arc<Walk>, folder: FolderWork, found: Arc<Notify>) -> Result<(), Error> {
    let mut next: Option<PageToken> = None;
    let mut seen = HashSet::new();
    let mut stale = 0;
    let mut known = folder.known;
    let mut began_again = false;
    for _ in 0..PAGES_PER_FOLDER {
        if walk.stop.is_draining() {
            return Ok(());
        }
        let page = match walk.drive.children(&folder.entry, next.as_ref()).await {
            Ok(page) => page,
            Err(error) if next.is_some() && !began_again && is_lost_place(&error.kind) => {
                // How long a cursor lives is not documented: the place may be lost, and the folder still be there.
                tracing::info!(folder = %folder.path, %error, "the listing begins again with its first page");
                began_again = true;
                known = walk.ledger.begin_again(folder.no).await?;
                next = None;
                seen.clear();
                continue;
            }
            Err(error) => return fail_folder(&walk, &folder, error).await,
        };
        let circles = page.next.as_ref().is_some_and(|token| !seen.insert(hash(token)));
        next = page.next.clone();
        let items = (page.entries.len() + page.broken.len()) as u64;
        let applied = apply(&walk, &folder, page, circles).await?;
        if applied.folders > 0 {
            found.notify_one();
        }
        if circles {
            return give_up(
                &walk,
                &folder,
                "cursor-repeats",
                "the listing's cursor came a second time",
            )
            .await;
        }
        if next.is_none() {
            walk.monitor.count(Counter::FoldersListed, 1);
            tell_listed(&walk, &folder, applied.drive_is_listed);
            return Ok(());
        }
        // What an earlier listing told comes again, and is no sign of a circle.
        let expected = applied.repeated.min(known);
        known -= expected;
        stale = if items > 0 && applied.repeated == items && expected == 0 {
            stale + 1
        } else {
            0
        };
        if stale >= STALE_PAGES {
            return give_up(
                &walk,
                &folder,
                "listing-repeats",
                "the listing repeats the same items",
            )
            .await;
        }
    }
    give_up(&walk, &folder, "listing-endless", "the listing does not end").await
}

fn tell_listed(walk: &Walk, folder: &FolderWork, is_listed: bool) {
    if is_listed {
        walk.monitor.drive(&folder.entry.drive, DriveState::Listed);
    }
}

/// Whether the service may have forgotten where a listing was.
fn is_lost_place(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Protocol | ErrorKind::NotFound)
}

/// Cursors are long and many; their hashes are enough to see one again.
fn hash(token: &PageToken) -> u64 {
    let mut hasher = DefaultHasher::new();
    token.hash(&mut hasher);
    hasher.finish()
}

async fn apply(walk: &Walk, folder: &FolderWork, page: Page, circles: bool) -> Result<Applied, Error> {
    let Page {
        entries,
        broken,
        next,
        full,
    } = page;
    let broken_items = broken.len() as u64;
    let items = entries
        .into_iter()
        .map(|mut entry| {
            let path = folder.path.join(&entry.name);
            entry.forget_path(path.as_str());
            let listed_as = (walk.options.classify)(&entry, &path);
            Listed {
                placement: (walk.options.place)(&entry),
                listed_as,
                entry,
            }
        })
        .collect();
    // A listing that runs in a circle never closes, so its folder stays open until it is failed.
    let next = if circles {
        Some(PageToken(String::new()))
    } else {
        next
    };
    let facts = PageFacts {
        full_end: full && next.is_none(),
        next,
        closed_as: Some(walk.options.folder_outcome),
    };
    let now = walk.options.clock.now();
    let applied = walk
        .ledger
        .apply_page(folder.no, items, broken, facts, now)
        .await?;
    walk.monitor.count(Counter::PagesRead, 1);
    walk.monitor.count(Counter::FilesListed, applied.files);
    walk.monitor.count(Counter::BytesListed, applied.bytes);
    if broken_items > 0 {
        walk.monitor.count(Counter::Failures, broken_items);
        walk.monitor.problem(
            folder.path.as_str(),
            &format!("{broken_items} listed items have no id, no name or no readable form"),
        );
    }
    walk.progress.tell();
    Ok(applied)
}

async fn fail_folder(walk: &Walk, folder: &FolderWork, error: drive::Error) -> Result<(), Error> {
    match error.kind {
        ErrorKind::Unauthenticated => Err(error.into()),
        ErrorKind::Cancelled => Ok(()),
        ErrorKind::NotFound if !folder.path.is_root() && is_gone(walk, &folder.entry).await => {
            walk.monitor.count(Counter::FilesVanished, 1);
            let is_listed = walk
                .ledger
                .end_folder(folder.no, Outcome::Vanished, String::new())
                .await?;
            tell_listed(walk, folder, is_listed);
            Ok(())
        }
        _ => give_up(walk, folder, error.kind.code(), &error.to_string()).await,
    }
}

/// A listing that is not found may be a fault of the service; only when the folder itself is gone too, it vanished.
async fn is_gone(walk: &Walk, folder: &Entry) -> bool {
    matches!(
        walk.drive.stat(folder).await,
        Err(drive::Error {
            kind: ErrorKind::NotFound,
            ..
        })
    )
}

async fn give_up(walk: &Walk, folder: &FolderWork, reason: &str, message: &str) -> Result<(), Error> {
    walk.monitor.count(Counter::Failures, 1);
    walk.monitor
        .problem(&format!("{}:{}", folder.entry.drive, folder.path), message);
    let is_listed = walk
        .ledger
        .end_folder(folder.no, Outcome::Failed, reason.to_owned())
        .await?;
    tell_listed(walk, folder, is_listed);
    Ok(())
}
