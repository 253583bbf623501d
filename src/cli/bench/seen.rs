//! Which messages arrived: what lost, duplicated and reordered are counted from.

use std::ops::AddAssign;

use super::template::turn;

/// A set of sequence numbers, one bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Adds a number; whether it was not there yet.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        let at = usize::try_from(number / 64).unwrap_or(usize::MAX);
        let bit = 1 << (number % 64);
        if let Some(word) = self.0.get_mut(at) {
            let fresh = *word & bit == 0;
            *word |= bit;
            return fresh;
        }
        // The vector doubles its room, so a run of a hundred million messages grows it some twenty times.
        self.0.resize(at + 1, 0);
        self.insert(number)
    }

    /// Adds numbers of one word, those from 64 times `at` on; how many were not there yet.
    pub(super) fn insert_word(&mut self, at: u64, mask: u64) -> u64 {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0.get_mut(at).map_or(0, |word| {
            let new = mask & !*word;
            *word |= mask;
            u64::from(new.count_ones())
        })
    }

    fn union(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// What one consumer got of one producer.
#[derive(Clone, Debug, Default)]
pub(super) struct Pair {
    /// Delivered for the first time, as the broker says.
    first: Bits,
    /// Delivered again, as the broker says: allowed, and counted apart.
    again: Bits,
    /// By queue of the producer: one above the highest number so far. Only a queue keeps an order.
    next: Vec<u64>,
    first_receipts: u64,
    again_receipts: u64,
    reordered: u64,
}

impl Pair {
    /// Nothing so far of a producer that sends to so many queues in turn.
    pub(super) fn new(queues: usize) -> Self {
        Self {
            next: vec![0; queues.max(1)],
            ..Self::default()
        }
    }

    /// Notes a message.
    pub(super) fn take(&mut self, sequence: u64, redelivered: bool) {
        if redelivered {
            self.again_receipts += 1;
            self.again.insert(sequence);
            return;
        }
        self.first_receipts += 1;
        let fresh = self.first.insert(sequence);
        let next = match self.next.as_mut_slice() {
            [next] => next,
            many => {
                let turn = turn(sequence, many.len());
                match many.get_mut(turn) {
                    Some(next) => next,
                    None => return,
                }
            }
        };
        if sequence >= *next {
            *next = sequence + 1;
        } else if fresh {
            self.reordered += 1;
        }
    }
}

/// What went wrong, or came twice with notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Different messages that arrived.
    pub(super) arrived: u64,
    /// Sent, not refused, and never received by anybody.
    pub(super) lost: u64,
    /// Received once more, and the broker didn't say so.
    pub(super) duplicated: u64,
    /// Received by a consumer after a later message of the same producer.
    pub(super) reordered: u64,
    /// Received with the broker's notice that it may have been delivered before.
    pub(super) redelivered: u64,
}

impl AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.arrived += other.arrived;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.redelivered += other.redelivered;
    }
}

/// The account of one producer that sent `sent` messages, over what all consumers got of it. A refused message was not
/// promised to arrive; it may.
pub(super) fn account<'a>(
    sent: u64,
    refused: &Bits,
    pairs: impl Iterator<Item = &'a Pair>,
) -> Account {
    let mut account = Account::default();
    let mut union = Bits::default();
    let mut again = Bits::default();
    let mut first_receipts = 0;
    for pair in pairs {
        union.union(&pair.first);
        again.union(&pair.again);
        first_receipts += pair.first_receipts;
        account.reordered += pair.reordered;
        account.redelivered += pair.again_receipts;
    }
    account.duplicated = first_receipts - union.count();
    union.union(&again);
    account.arrived = union.count();
    union.union(refused);
    account.lost = sent.saturating_sub(union.count());
    account
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(sequences: impl IntoIterator<Item = u64>) -> Pair {
        let mut pair = Pair::new(1);
        for sequence in sequences {
            pair.take(sequence, false);
        }
        pair
    }

    fn of(sent: u64, pairs: &[Pair]) -> Account {
        account(sent, &Bits::default(), pairs.iter())
    }

    #[test]
    fn a_clean_run_has_a_clean_account() {
        let clean = Account {
            arrived: 1000,
            ..Account::default()
        };
        assert_eq!(of(1000, &[pair(0..1000)]), clean);
        let odd_and_even = [
            pair((0..1000).filter(|number| number % 2 == 0)),
            pair((0..1000).filter(|number| number % 2 == 1)),
        ];
        assert_eq!(of(1000, &odd_and_even), clean);
    }

    #[test]
    fn a_lost_message_is_found() {
        let account = of(1000, &[pair((0..1000).filter(|number| *number != 517))]);
        assert_eq!((account.lost, account.arrived), (1, 999));
        assert_eq!(of(10, &[]).lost, 10);
        assert_eq!(of(1000, &[pair(0..999)]).lost, 1, "the last one, too");
    }

    #[test]
    fn a_duplicate_is_found_at_one_consumer_and_at_two() {
        let account = of(4, &[pair([0, 1, 2, 1, 3])]);
        assert_eq!((account.duplicated, account.lost), (1, 0));
        assert_eq!(account.reordered, 0, "a duplicate is not late as well");
        let account = of(4, &[pair([0, 1, 2, 3]), pair([2])]);
        assert_eq!((account.duplicated, account.lost), (1, 0));
    }

    #[test]
    fn a_duplicate_does_not_hide_a_loss() {
        let account = of(4, &[pair([0, 1, 1, 3])]);
        assert_eq!((account.duplicated, account.lost), (1, 1));
    }

    #[test]
    fn a_late_message_is_reordered() {
        let account = of(5, &[pair([0, 1, 3, 2, 4])]);
        assert_eq!((account.reordered, account.lost), (1, 0));
    }

    #[test]
    fn only_the_order_of_one_queue_counts() {
        let mut of_two = Pair::new(2);
        for sequence in [0, 2, 4, 1, 3, 6, 5, 9, 7] {
            of_two.take(sequence, false);
        }
        assert_eq!(of(10, &[of_two]).reordered, 1, "7 came after 9");
    }

    #[test]
    fn a_refused_message_is_not_lost_and_hides_no_loss() {
        let mut refused = Bits::default();
        refused.insert(2);
        refused.insert(3);
        // 1 is lost; 2 was refused and came all the same.
        let account = account(4, &refused, [pair([0, 2])].iter());
        assert_eq!((account.lost, account.arrived), (1, 2));
    }

    #[test]
    fn what_the_broker_announced_as_redelivered_is_no_duplicate() {
        let mut one = pair([0, 1, 2]);
        one.take(1, true);
        one.take(1, true);
        let mut two = Pair::new(1);
        two.take(3, true);
        let account = of(4, &[one, two]);
        let expected = Account {
            arrived: 4,
            redelivered: 3,
            ..Account::default()
        };
        assert_eq!(account, expected);
    }
}
