//! Reading back: one thread that answers who asked for messages, or for what was put aside.

mod frames;
mod piece;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::core::log::read::ReadError;
use crate::core::log::read::Reader;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;
use crate::core::model::ids::Lsn;

use crate::store::reading;
use crate::store::work::Polled;

use super::crew::Acted;
use super::crew::Actor;
use super::segment::SegmentId;
use super::shared::Shared;

pub(super) use frames::Frames;

/// Something that was asked for.
pub(super) enum Asked {
    /// Messages that are durable, ascending.
    Messages {
        /// Which.
        lsns: Vec<Lsn>,
        /// By whom.
        reader: Box<dyn Reader>,
    },
    /// What was put aside.
    Spilled {
        /// What.
        id: SpillId,
        /// By whom.
        reader: Box<dyn SpillReader>,
    },
    /// A segment is gone: its file must not be held open, or its room would not come back.
    Forget(SegmentId),
}

/// Answers, one request after the other.
pub(super) struct Answerer {
    shared: Arc<Shared>,
    frames: Frames,
}

impl Actor for Answerer {
    fn act(&mut self, _: Instant) -> Acted {
        match self.shared.asked.poll() {
            Polled::Work(asked) => self.answer(asked),
            Polled::Nothing => return Acted::Rests(None),
            Polled::Ended => return Acted::Ended,
        }
        Acted::Done
    }

    fn rest(&mut self, _: Option<Duration>) {
        self.shared.asked.wait();
    }
}

impl Answerer {
    /// Nothing read yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            frames: Frames::new(Arc::clone(&shared)),
            shared,
        }
    }

    /// Answers one request.
    fn answer(&mut self, asked: Asked) {
        match asked {
            Asked::Messages { lsns, mut reader } => {
                let unread = self.read(&lsns, &mut *reader);
                reader.done(unread);
            }
            Asked::Spilled { id, reader } => {
                let bytes = if self.shared.is_closed() {
                    Err(ReadError::Closed)
                } else {
                    self.shared.spill.get(id)
                };
                reader.spilled(bytes);
            }
            Asked::Forget(segment) => self.frames.forget(segment),
        }
    }

    /// Tells of each message, and returns those that it could not tell of.
    fn read(&mut self, lsns: &[Lsn], reader: &mut dyn Reader) -> Vec<(Lsn, ReadError)> {
        let mut unread = Vec::new();
        let numbers: Vec<u64> = lsns.iter().map(|lsn| self.shared.number(*lsn)).collect();
        for (at, lsn) in lsns.iter().enumerate() {
            let wanted = numbers.get(at..).unwrap_or_default();
            if let Err(error) = self.message(*lsn, wanted, reader) {
                unread.push((*lsn, error));
            }
        }
        unread
    }

    /// Tells of the first of `wanted`; the others come next.
    fn message(
        &mut self,
        lsn: Lsn,
        wanted: &[u64],
        reader: &mut dyn Reader,
    ) -> Result<(), ReadError> {
        if self.shared.is_closed() {
            return Err(ReadError::Closed);
        }
        let (version, publish) = self.frames.record(wanted)?;
        let chunks = |count| self.chunks(lsn.number(), count);
        reading::tell_one(lsn, version, &publish, chunks, reader)
    }

    /// The `count` chunk records before record `number`.
    fn chunks(&mut self, number: u64, count: u32) -> Result<Vec<Bytes>, ReadError> {
        let first = number.saturating_sub(u64::from(count));
        let wanted: Vec<u64> = (first..number).collect();
        let chunk = |at: usize| {
            let wanted = wanted.get(at..).unwrap_or_default();
            let (version, record) = self.frames.record(wanted)?;
            // A copy: a slice would keep everything that was read with it.
            reading::chunk_of(version, &record).map(|chunk| Bytes::copy_from_slice(&chunk))
        };
        (0..wanted.len()).map(chunk).collect()
    }
}
