//! Items that become records: neighbours of one kind are one record.

use smallvec::SmallVec;

/// Items of one record: a purge of a deep queue is many records, not one that is as long.
const RUN_MAX_ITEMS: usize = 4096;

/// Items in order, cut into runs of the same kind.
///
/// The items stand side by side, so that a record borrows those of its run as they are.
#[derive(Debug)]
pub(in crate::core) struct Runs<K, T> {
    items: Vec<T>,
    /// How many items are to come.
    expected: usize,
    /// The kind of each run, and where it ends. An operation mostly has one.
    runs: SmallVec<[(K, usize); 1]>,
}

impl<K, T> Default for Runs<K, T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            expected: 0,
            runs: SmallVec::new(),
        }
    }
}

impl<K: Copy + PartialEq, T> Runs<K, T> {
    /// Adds an item behind all others.
    pub(in crate::core) fn push(&mut self, kind: K, item: T) {
        let start = self.runs.iter().rev().nth(1).map_or(0, |(_, end)| *end);
        if self.items.capacity() == 0 {
            self.items.reserve_exact(self.expected);
        }
        self.items.push(item);
        match self.runs.last_mut() {
            Some((last, end)) if *last == kind && *end - start < RUN_MAX_ITEMS => *end += 1,
            _ => self.runs.push((kind, self.items.len())),
        }
    }

    /// Says how many items are to come, so that the first one allocates for all. Most operations bring none.
    pub(in crate::core) fn expect(&mut self, items: usize) {
        self.expected = items;
    }

    /// Whether there are none.
    pub(in crate::core) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The runs in order, none empty and none longer than [`RUN_MAX_ITEMS`].
    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = (K, &[T])> {
        let mut start = 0;
        self.runs.iter().map(move |(kind, end)| {
            let items = self.items.get(start..*end).unwrap_or_default();
            start = *end;
            (*kind, items)
        })
    }

    /// Adds the runs of `later` behind these.
    pub(in crate::core) fn append(&mut self, later: &Self)
    where
        T: Copy,
    {
        for (kind, items) in later.iter() {
            for item in items {
                self.push(kind, *item);
            }
        }
    }

    /// The items without their kinds.
    pub(in crate::core) fn into_items(self) -> Vec<T> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kinds: &[u8]) -> Runs<u8, usize> {
        let mut runs = Runs::default();
        for (item, kind) in kinds.iter().enumerate() {
            runs.push(*kind, item);
        }
        runs
    }

    fn lens(runs: &Runs<u8, usize>) -> Vec<(u8, usize)> {
        runs.iter()
            .map(|(kind, items)| (kind, items.len()))
            .collect()
    }

    #[test]
    fn runs_end_with_their_kind_and_at_their_longest() {
        let n = RUN_MAX_ITEMS;
        let runs = of(&[vec![1; 3], vec![2; 2 * n + 1], vec![1; 2]].concat());
        assert_eq!(lens(&runs), [(1, 3), (2, n), (2, n), (2, 1), (1, 2)]);
        let items: Vec<usize> = runs.iter().flat_map(|(_, items)| items).copied().collect();
        assert_eq!(items, (0..2 * n + 6).collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_behind_goes_on_with_the_last_run() {
        let mut runs = of(&[1, 1, 2]);
        runs.append(&of(&[2, 3]));
        assert_eq!(lens(&runs), [(1, 2), (2, 2), (3, 1)]);
        assert_eq!(runs.into_items(), [0, 1, 2, 0, 1]);
        assert!(of(&[]).is_empty());
    }
}
