//! Which messages of a run nobody waits for any more, whoever got them.

use parking_lot::Mutex;

use super::seen::Bits;

/// Messages of a batch, by words of 64: what a lock is taken for once a batch.
#[derive(Debug, Default)]
pub(super) struct Words(Vec<Word>);

#[derive(Clone, Copy, Debug)]
struct Word {
    producer: usize,
    at: u64,
    mask: u64,
}

impl Words {
    /// Adds a message; those of a producer come one after the other most often, and share a word.
    #[inline]
    pub(super) fn add(&mut self, producer: usize, sequence: u64) {
        let (at, bit) = (sequence / 64, 1 << (sequence % 64));
        match self.0.last_mut() {
            Some(last) if last.producer == producer && last.at == at => last.mask |= bit,
            _ => self.0.push(Word {
                producer,
                at,
                mask: bit,
            }),
        }
    }
}

/// Messages that arrived anywhere or were refused, by producer: consumers that count apart would count twice
/// what one of them got first and another one again.
#[derive(Debug)]
pub(super) struct Settled(Vec<Mutex<Bits>>);

impl Settled {
    /// Nothing so far.
    pub(super) fn new(producers: usize) -> Self {
        Self((0..producers).map(|_| Mutex::default()).collect())
    }

    /// Adds a batch, and empties it; how many messages of it are new.
    pub(super) fn add(&self, words: &mut Words) -> u64 {
        let mut new = 0;
        for run in words.0.chunk_by(|one, two| one.producer == two.producer) {
            let Some(bits) = run.first().and_then(|word| self.0.get(word.producer)) else {
                continue;
            };
            let mut bits = bits.lock();
            new += run
                .iter()
                .map(|word| bits.insert_word(word.at, word.mask))
                .sum::<u64>();
        }
        words.0.clear();
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_new_once_whoever_brings_it() {
        let settled = Settled::new(2);
        let add = |messages: &[(usize, u64)]| {
            let mut words = Words::default();
            for &(producer, sequence) in messages {
                words.add(producer, sequence);
            }
            let new = settled.add(&mut words);
            assert_eq!(settled.add(&mut words), 0, "it is empty now");
            new
        };
        assert_eq!(add(&[(0, 0), (0, 63), (0, 64), (1, 0), (0, 1)]), 5);
        assert_eq!(add(&[(0, 63), (0, 62), (1, 0), (1, 1000)]), 2);
        assert_eq!(add(&[(0, 2), (0, 2)]), 1);
    }
}
