//! What a purged or deleted queue had put aside is released by and by: nobody waits for a walk over it.
//!
//! The log knows already that the entries are gone, by the range that a purge wrote or by the queue's end in
//! the catalog; what is released here is the room that they hold.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::core::Core;
use crate::core::log::read::ReadError;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;
use crate::core::log::record::EntryRef;
use crate::core::log::store::Dead;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::queue::effects::Reaped;
use crate::core::queue::ring::codec;
use crate::core::queue::ring::codec::Unpacked;

/// Chunks that are read back in one step: half a million entries take 12 MiB then. With ten steps a second,
/// a hundred million entries take 20 s.
const CHUNKS_AT_ONCE: usize = 512;

/// Chunks that are to be released.
#[derive(Debug, Default)]
pub(in crate::core) struct Reaper {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(QueueId, Shard, Reaped)>,
    under_way: usize,
    /// Entries that nobody has told the store of.
    dead: Vec<Dead>,
    /// What was put aside and is of no more use.
    unused: Vec<(Shard, SpillId)>,
}

impl Reaper {
    /// Whether there is something to do.
    pub(super) fn has_work(&self) -> bool {
        let state = self.state.lock();
        !state.waiting.is_empty() || !state.dead.is_empty() || !state.unused.is_empty()
    }

    /// Takes chunks over.
    pub(in crate::core) fn add(&self, queue: QueueId, shard: Shard, chunks: Vec<Reaped>) {
        let chunks = chunks.into_iter().map(|chunk| (queue, shard, chunk));
        self.state.lock().waiting.extend(chunks);
    }
}

impl Core {
    /// Releases some of what purged and deleted queues held. False: there is nothing to release. Whoever
    /// keeps house calls it about ten times a second.
    pub fn reap(&self) -> bool {
        let (dead, unused, next) = {
            let mut state = self.inner.reaper.state.lock();
            let room = CHUNKS_AT_ONCE.saturating_sub(state.under_way);
            let count = room.min(state.waiting.len());
            let next: Vec<_> = state.waiting.drain(..count).collect();
            state.under_way += next.len();
            let dead = std::mem::take(&mut state.dead);
            (dead, std::mem::take(&mut state.unused), next)
        };
        let store = &self.inner.store;
        if !dead.is_empty() {
            store.dead(&dead);
        }
        for (shard, id) in unused {
            store.spill_drop(shard, id);
        }
        for (queue, shard, chunk) in next {
            let reaper = Arc::clone(&self.inner.reaper);
            let read = Reap {
                reaper,
                queue,
                shard,
                chunk,
            };
            store.spill_get(shard, chunk.id, Box::new(read));
        }
        let state = self.inner.reaper.state.lock();
        state.under_way > 0
            || !state.waiting.is_empty()
            || !state.dead.is_empty()
            || !state.unused.is_empty()
    }
}

/// A chunk that is being read back.
struct Reap {
    reaper: Arc<Reaper>,
    queue: QueueId,
    shard: Shard,
    chunk: Reaped,
}

impl SpillReader for Reap {
    fn spilled(self: Box<Self>, bytes: Result<Bytes, ReadError>) {
        let len = usize::try_from(self.chunk.len).unwrap_or(0);
        let unpacked = bytes.and_then(|bytes| {
            let unpacked = codec::decode(&bytes, len);
            unpacked.map_err(|_| ReadError::Damaged)
        });
        let mut state = self.reaper.state.lock();
        state.under_way -= 1;
        match unpacked {
            Ok(unpacked) => {
                state.unused.push((self.shard, self.chunk.id));
                let blobs = unpacked.cold.blobs.iter().map(|blob| (self.shard, blob.id));
                state.unused.extend(blobs);
                state.dead.extend(dead_of(self.queue, &unpacked));
            }
            Err(ReadError::Io) => state
                .waiting
                .push_back((self.queue, self.shard, self.chunk)),
            Err(ReadError::Closed) => {}
            Err(error) => {
                tracing::error!(
                    entries = self.chunk.live,
                    %error,
                    "an index that was put aside cannot be read: the room of its entries comes back with the next start"
                );
            }
        }
    }
}

/// What ends with the entries of a chunk.
fn dead_of(queue: QueueId, unpacked: &Unpacked) -> impl Iterator<Item = Dead> {
    let cold = &unpacked.cold;
    let entries = (0u16..).zip(&unpacked.entries);
    entries.filter_map(move |(offset, entry)| {
        Some(Dead {
            queue,
            entry: EntryRef {
                entry: entry.lsn?,
                message: cold.message_lsn(offset, entry)?,
            },
        })
    })
}
