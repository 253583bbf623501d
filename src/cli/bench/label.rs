//! The first 16 bytes of every body: who sent it, which one it is, and when.
//!
//! ```text
//! 0          16          28                     64          128 bits
//! +----------+-----------+----------------------+-----------+
//! | run      | producer  | sequence             | sent at   |
//! +----------+-----------+----------------------+-----------+
//! ```
//! The run is a random number: a message of another run is told from ours. The time is in
//! nanoseconds of the run's [`Clock`](super::clock::Clock).

/// Bytes of a label.
pub(super) const LABEL_BYTES: usize = 16;

const PRODUCER_BITS: u32 = 12;
const SEQUENCE_BITS: u32 = 36;

/// What a body says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// Which run sent it.
    pub(super) run: u16,
    /// Which of its producers; below 4096.
    pub(super) producer: u16,
    /// Which of the producer's messages, from 0.
    pub(super) sequence: u64,
    /// When it was sent or, in a paced run, should have been.
    pub(super) sent_at: u64,
}

impl Label {
    /// The bytes of a body.
    pub(super) fn to_bytes(self) -> [u8; LABEL_BYTES] {
        let name = u64::from(self.run) << (PRODUCER_BITS + SEQUENCE_BITS)
            | u64::from(self.producer) << SEQUENCE_BITS
            | self.sequence;
        (u128::from(name) << 64 | u128::from(self.sent_at)).to_be_bytes()
    }

    /// Reads the beginning of a body; any 16 bytes are a label.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "fields are cut out on purpose"
    )]
    pub(super) fn of_bytes(bytes: [u8; LABEL_BYTES]) -> Self {
        let whole = u128::from_be_bytes(bytes);
        let name = (whole >> 64) as u64;
        Self {
            run: (name >> (PRODUCER_BITS + SEQUENCE_BITS)) as u16,
            producer: (name >> SEQUENCE_BITS) as u16 & ((1 << PRODUCER_BITS) - 1),
            sequence: name & ((1 << SEQUENCE_BITS) - 1),
            sent_at: whole as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_survives_its_bytes() {
        for label in [
            Label {
                run: 0xBEEF,
                producer: 4095,
                sequence: (1 << 36) - 1,
                sent_at: u64::MAX,
            },
            Label {
                run: 1,
                producer: 0,
                sequence: 0,
                sent_at: 0,
            },
            Label {
                run: 0,
                producer: 7,
                sequence: 123_456,
                sent_at: 99,
            },
        ] {
            assert_eq!(Label::of_bytes(label.to_bytes()), label);
        }
    }
}
