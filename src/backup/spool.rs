//! The room for bytes that are stored only until they are handed on.

use tokio::sync::watch;

/// A bound on the bytes that are being fetched or wait to be handed on.
#[derive(Debug)]
pub struct Spool {
    limit: i64,
    /// Below zero for a moment when a file is handed on before it is settled here.
    used: watch::Sender<i64>,
}

impl Spool {
    /// Room for `limit` bytes, of which `used` are taken.
    pub fn new(limit: u64, used: u64) -> Spool {
        Spool {
            limit: signed(limit),
            used: watch::Sender::new(signed(used)),
        }
    }

    /// Takes room for a file; false when it has to wait. A file larger than the whole room gets it when it is empty.
    pub(super) fn try_take(&self, bytes: u64) -> bool {
        let mut is_taken = false;
        self.used.send_if_modified(|used| {
            let after = used.saturating_add(signed(bytes));
            is_taken = *used <= 0 || after <= self.limit;
            if is_taken {
                *used = after;
            }
            // Nobody waits for room to become less.
            false
        });
        is_taken
    }

    /// Replaces what was taken for a file by what it came to, 0 when it is not stored.
    pub(super) fn settle(&self, taken: u64, stored: u64) {
        self.used
            .send_modify(|used| *used = used.saturating_add(signed(stored)).saturating_sub(signed(taken)));
    }

    /// Gives room back.
    pub fn give_back(&self, bytes: u64) {
        if bytes > 0 {
            self.used
                .send_modify(|used| *used = used.saturating_sub(signed(bytes)));
        }
    }

    /// Wakes up when there is more room.
    pub(super) fn subscribe(&self) -> watch::Receiver<i64> {
        self.used.subscribe()
    }
}

/// No file and no disk has more bytes than fit.
fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_a_large_file_gets_all_of_it() {
        let spool = Spool::new(10, 0);
        assert!(spool.try_take(6));
        assert!(!spool.try_take(5));
        assert!(spool.try_take(4));
        spool.settle(6, 3);
        assert!(spool.try_take(3) && !spool.try_take(1));
        spool.give_back(10);
        assert!(spool.try_take(100), "nothing else is there");
        assert!(!spool.try_take(1));
        spool.settle(100, 0);
        assert!(spool.try_take(1));
        spool.give_back(1);
        // A file that was listed without a size is handed on before it is settled.
        assert!(spool.try_take(0));
        spool.give_back(8);
        spool.settle(0, 8);
        assert!(spool.try_take(10) && !spool.try_take(1));
    }
}
