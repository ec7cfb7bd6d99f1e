//! Keeps every API operation under the tenant's figure, together with the other processes of that tenant.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::Jitter;

use super::{Clock, Rate};
use crate::monitor::{Monitor, WaitReason, Waiting};

mod meter;
mod slot;

#[cfg(test)]
use meter::Record;
use meter::{Ask, Meter};
use slot::{Slot, Taken};

/// One bucket for each API operation: the service counts them one by one (API 2.0 docs, JP/rate-limits).
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    folder: PathBuf,
    tenant_key: String,
    clock: Arc<dyn Clock>,
    monitor: Arc<dyn Monitor>,
    buckets: Mutex<HashMap<&'static str, Arc<Bucket>>>,
}

/// What is shared by all calls of one operation.
#[derive(Debug)]
struct Bucket {
    /// Whoever holds it is next. It is handed on in the order of asking.
    turn: tokio::sync::Mutex<()>,
    meter: Option<Meter>,
    slot: Mutex<Slot>,
    /// Answers 429 without a good answer between them.
    refusals: AtomicU32,
}

/// Answers 429 in a row that are taken as told; each further one doubles the rest.
const PATIENCE: u32 = 3;
/// The longest that an operation is closed, whatever an answer asks for.
const LONGEST: Duration = Duration::from_secs(3600);
/// The shortest sleep that the runtime can do. Places that come up meanwhile are not lost: a large figure has a burst
/// larger than what a tick brings.
const TICK: Duration = Duration::from_millis(1);
/// How long to sleep while another process holds the shared file, which takes it microseconds.
const BUSY: Duration = Duration::from_millis(2);
/// Sleeps of [`BUSY`] after which the file's holder is taken for stopped, and the file is left alone: ten seconds.
const BUSY_PATIENCE: u32 = 5_000;

impl Pace {
    /// Buckets for one tenant. Nothing is opened before the first permit.
    pub(super) fn new(
        rate: Rate,
        folder: PathBuf,
        tenant_key: String,
        clock: Arc<dyn Clock>,
        monitor: Arc<dyn Monitor>,
    ) -> Pace {
        Pace {
            rate,
            folder,
            tenant_key,
            clock,
            monitor,
            buckets: Mutex::default(),
        }
    }

    /// Waits for the operation's next place, and returns whether that took any time. Calls are let through in the order in
    /// which they came.
    pub(super) async fn permit(&self, operation: &'static str) -> bool {
        let bucket = self.bucket(operation);
        let (_turn, mut waited) = match bucket.turn.try_lock() {
            Ok(turn) => (turn, false),
            Err(_) => (bucket.turn.lock().await, true),
        };
        let mut busy = 0;
        loop {
            let now = self.now();
            let taken = bucket.with_slot(|slot| {
                slot.take(|record| match &bucket.meter {
                    Some(meter) => meter.ask(record, now),
                    None => meter::closed(record, now).map_or(Ask::Go, Ask::Closed),
                })
            });
            match taken {
                Taken::Busy if busy >= BUSY_PATIENCE => bucket.with_slot(|slot| {
                    slot.leave("another process holds the shared pace file and does not let go");
                }),
                Taken::Busy => {
                    busy += 1;
                    tokio::time::sleep(BUSY).await;
                    waited = true;
                }
                Taken::Answer(Ask::Go) => return waited,
                Taken::Answer(Ask::Later(time)) => {
                    let time = time.max(TICK);
                    self.wait(operation, time, WaitReason::Pace).await;
                    waited = true;
                }
                Taken::Answer(Ask::Closed(time)) => {
                    // Other processes wait for the same moment; the jitter keeps them apart.
                    let spread = (time / 10).min(Duration::from_secs(1));
                    let time = Jitter::up_to(spread + Duration::from_millis(5)) + time;
                    self.wait(operation, time, WaitReason::RateLimited).await;
                    waited = true;
                }
            }
        }
    }

    /// Closes the operation for `time`, for every process of the tenant. Answers 429 that follow each other lengthen
    /// the rest, so that a limit which we misread is not hammered.
    pub(super) async fn close(&self, operation: &'static str, time: Duration) {
        let bucket = self.bucket(operation);
        let refusals = bucket.refusals.fetch_add(1, Ordering::Relaxed);
        let factor = 2u32.saturating_pow(refusals.saturating_sub(PATIENCE - 1).min(6));
        let time = time.saturating_mul(factor).min(LONGEST);
        for _ in 0..BUSY_PATIENCE {
            let until = self.now().saturating_add(nanoseconds(time));
            let taken = bucket.with_slot(|slot| {
                slot.take(|record| {
                    record.closed = record.closed.max(until);
                    Ask::Go
                })
            });
            match taken {
                Taken::Busy => tokio::time::sleep(BUSY).await,
                Taken::Answer(_) => return,
            }
        }
    }

    /// Tells that the operation was answered with something other than 429.
    pub(super) fn answered(&self, operation: &'static str) {
        self.bucket(operation).refusals.store(0, Ordering::Relaxed);
    }

    async fn wait(&self, operation: &'static str, time: Duration, why: WaitReason) {
        self.monitor.waiting(&Waiting { operation, time, why });
        tokio::time::sleep(time).await;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.now().as_nanosecond()).unwrap_or(0)
    }

    fn bucket(&self, operation: &'static str) -> Arc<Bucket> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(shared_name(operation)).or_insert_with(|| {
            let meter = match self.rate {
                _ if !is_metered(operation) => None,
                Rate::Unlimited => None,
                Rate::Fixed(per_minute) => Some(Meter::new(per_minute, false)),
                Rate::Plan {
                    per_minute,
                    sustained_half,
                } => Some(Meter::new(per_minute, sustained_half)),
            };
            let slot = match meter {
                Some(_) => Slot::shared(&self.folder, &self.tenant_key, shared_name(operation)),
                None => Slot::alone(),
            };
            Arc::new(Bucket {
                turn: tokio::sync::Mutex::new(()),
                meter,
                slot: Mutex::new(slot),
                refusals: AtomicU32::new(0),
            })
        });
        Arc::clone(bucket)
    }
}

impl Bucket {
    fn with_slot<T>(&self, act: impl FnOnce(&mut Slot) -> T) -> T {
        act(&mut self.slot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The bucket an operation is counted in. API 2.0 counts each operation; the classic API counts all calls of its Drive
/// category together (official forum, jp/posts/100157).
fn shared_name(operation: &'static str) -> &'static str {
    if operation.starts_with("classic.") && is_metered(operation) {
        "classic"
    } else {
        operation
    }
}

/// Whether the service's figure counts an operation. Tokens are not counted; for the storage host nothing is known, and
/// its transfers follow calls that are counted.
fn is_metered(operation: &str) -> bool {
    !(operation.starts_with("storage.") || operation.starts_with("oauth.") || operation.ends_with("-token"))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
