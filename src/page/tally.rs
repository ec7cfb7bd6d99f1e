//! Counters by name that stay small however many names there are.

use std::cmp::Reverse;
use std::collections::HashMap;

/// Files and bytes by some word. Beyond twice `kept` words, those with the fewest bytes are put together.
#[derive(Debug)]
pub(super) struct Tally {
    kept: usize,
    sums: HashMap<String, Sum>,
    rest: Sum,
}

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Files.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl Sum {
    /// Counts one file.
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: Sum) {
        self.files += other.files;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Tally {
    /// Tells at least `kept` words apart.
    pub(super) fn new(kept: usize) -> Tally {
        Tally {
            kept,
            sums: HashMap::new(),
            rest: Sum::default(),
        }
    }

    /// Counts one file under `word`.
    pub(super) fn add(&mut self, word: &str, bytes: u64) {
        if let Some(sum) = self.sums.get_mut(word) {
            return sum.add(bytes);
        }
        if self.sums.len() >= 2 * self.kept {
            let (kept, rest) = self.top(self.kept);
            self.sums = kept.into_iter().collect();
            self.rest = rest;
        }
        self.sums.entry(word.to_owned()).or_default().add(bytes);
    }

    /// Whether everything was counted under `word`.
    pub(super) fn has_only(&self, word: &str) -> bool {
        self.rest.files == 0 && self.sums.keys().all(|known| known == word)
    }

    /// The `count` words with the most bytes, and the sum of all others.
    pub(super) fn top(&self, count: usize) -> (Vec<(String, Sum)>, Sum) {
        let mut sums: Vec<(&String, &Sum)> = self.sums.iter().collect();
        sums.sort_by_key(|(word, sum)| (Reverse(sum.bytes), Reverse(sum.files), *word));
        let mut rest = self.rest;
        for (_, sum) in sums.iter().skip(count) {
            rest.merge(**sum);
        }
        let top = sums.into_iter().take(count);
        (top.map(|(word, sum)| (word.clone(), *sum)).collect(), rest)
    }
}
