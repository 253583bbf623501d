//! What a producer has sent and the broker has not confirmed.

use std::collections::VecDeque;

/// A message that was confirmed before an earlier one.
const DONE: u64 = u64::MAX;

/// Sending times by sequence number, oldest first.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    /// Sequence number of the first in `sent_at`.
    first: u64,
    sent_at: VecDeque<u64>,
    open: u64,
}

impl Unconfirmed {
    /// How many.
    pub(super) fn open(&self) -> u64 {
        self.open
    }

    /// Adds the next message.
    pub(super) fn push(&mut self, sent_at: u64) {
        self.sent_at.push_back(sent_at);
        self.open += 1;
    }

    /// Takes the message with this number, and with `multiple` all before it, and calls `each` with
    /// numbers and sending times. What is confirmed already is not taken twice. How many were taken; `None`
    /// for a number that was never sent.
    pub(super) fn take(
        &mut self,
        sequence: u64,
        multiple: bool,
        mut each: impl FnMut(u64, u64),
    ) -> Option<u64> {
        let Some(offset) = sequence.checked_sub(self.first) else {
            return Some(0);
        };
        let offset = usize::try_from(offset).ok()?;
        if offset >= self.sent_at.len() {
            return None;
        }
        let before = self.open;
        if multiple {
            for (number, sent_at) in (self.first..).zip(self.sent_at.drain(..=offset)) {
                if sent_at != DONE {
                    self.open -= 1;
                    each(number, sent_at);
                }
            }
            self.first = sequence + 1;
        } else if let Some(slot) = self.sent_at.get_mut(offset)
            && *slot != DONE
        {
            each(sequence, std::mem::replace(slot, DONE));
            self.open -= 1;
        }
        while self.sent_at.front() == Some(&DONE) {
            self.sent_at.pop_front();
            self.first += 1;
        }
        Some(before - self.open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(unconfirmed: &mut Unconfirmed, sequence: u64, multiple: bool) -> Option<Vec<u64>> {
        let mut times = Vec::new();
        let count = unconfirmed.take(sequence, multiple, |number, time| {
            assert_eq!(number + 10, time);
            times.push(time);
        })?;
        assert_eq!(count, times.len() as u64);
        Some(times)
    }

    #[test]
    fn confirms_come_one_by_one_in_any_order_and_in_bulk() {
        let mut unconfirmed = Unconfirmed::default();
        (10..20).for_each(|time| unconfirmed.push(time));
        assert_eq!(take(&mut unconfirmed, 2, false), Some(vec![12]));
        assert_eq!(take(&mut unconfirmed, 2, false), Some(vec![]), "only once");
        assert_eq!(take(&mut unconfirmed, 0, false), Some(vec![10]));
        assert_eq!(take(&mut unconfirmed, 4, true), Some(vec![11, 13, 14]));
        assert_eq!(take(&mut unconfirmed, 1, true), Some(vec![]));
        assert_eq!(unconfirmed.open(), 5);
        assert_eq!(take(&mut unconfirmed, 10, true), None, "never sent");
        assert_eq!(take(&mut unconfirmed, 9, true).unwrap().len(), 5);
        assert_eq!(unconfirmed.open(), 0);
        unconfirmed.push(20);
        assert_eq!(take(&mut unconfirmed, 10, false), Some(vec![20]));
    }
}
