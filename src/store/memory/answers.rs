//! Answers of the memory store: from a small thread, or when a test says so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::core::log::read::ReadError;
use crate::core::log::read::Reader;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;
use crate::core::log::store::Waiter;
use crate::core::model::ids::Lsn;

use crate::store::reading;
use crate::store::work::Later;
use crate::store::work::WorkQueue;

use super::MemoryShard;

/// What was asked for and not answered yet.
pub(super) struct Answers {
    asked: Arc<WorkQueue<Asked>>,
    /// No thread answers: a test does.
    is_by_hand: AtomicBool,
    thread: Once,
    spill: Arc<Spill>,
}

/// Something asked for.
enum Asked {
    Messages {
        shard: Arc<MemoryShard>,
        lsns: Vec<Lsn>,
        reader: Box<dyn Reader>,
    },
    Spilled {
        spill: Arc<Spill>,
        id: SpillId,
        reader: Box<dyn SpillReader>,
    },
}

/// What was put aside.
#[derive(Default)]
struct Spill {
    last: AtomicU64,
    blobs: Mutex<Blobs>,
}

#[derive(Default)]
struct Blobs {
    by_id: HashMap<SpillId, Bytes>,
    bytes: usize,
}

impl Answers {
    /// Nothing asked for, nothing put aside.
    pub(super) fn new(is_by_hand: bool) -> Self {
        Self {
            asked: Arc::new(WorkQueue::new()),
            is_by_hand: AtomicBool::new(is_by_hand),
            thread: Once::new(),
            spill: Arc::default(),
        }
    }

    /// Whether a test answers.
    pub(super) fn is_by_hand(&self) -> bool {
        self.is_by_hand.load(Ordering::Acquire)
    }

    /// Leaves every answer to [`Self::answer`].
    pub(super) fn by_hand(&self) {
        self.is_by_hand.store(true, Ordering::Release);
    }

    /// Answers what was asked for so far, on this thread, and returns how much that was.
    pub(super) fn answer(&self) -> usize {
        let asked = self.asked.len();
        (0..asked)
            .map_while(|_| self.asked.try_next())
            .map(Asked::answer)
            .count()
    }

    pub(super) fn read(&self, shard: &Arc<MemoryShard>, lsns: Vec<Lsn>, reader: Box<dyn Reader>) {
        let last = lsns.last().map_or(0, |lsn| lsn.number());
        let asked = Asked::Messages {
            shard: Arc::clone(shard),
            lsns,
            reader,
        };
        self.start();
        shard.wait(last, Later::new(&self.asked, asked) as Arc<dyn Waiter>);
    }

    pub(super) fn put(&self, bytes: Vec<u8>) -> SpillId {
        let id = SpillId(self.spill.last.fetch_add(1, Ordering::Relaxed) + 1);
        let mut blobs = self.spill.blobs.lock();
        blobs.bytes += bytes.len();
        blobs.by_id.insert(id, bytes.into());
        id
    }

    pub(super) fn get(&self, id: SpillId, reader: Box<dyn SpillReader>) {
        self.start();
        self.asked.push(Asked::Spilled {
            spill: Arc::clone(&self.spill),
            id,
            reader,
        });
    }

    pub(super) fn forget(&self, id: SpillId) {
        let mut blobs = self.spill.blobs.lock();
        if let Some(bytes) = blobs.by_id.remove(&id) {
            blobs.bytes -= bytes.len();
        }
    }

    /// Bytes that are put aside.
    pub(super) fn spill_bytes(&self) -> u64 {
        u64::try_from(self.spill.blobs.lock().bytes).unwrap_or(u64::MAX)
    }

    /// Starts the thread, once and only if somebody asks: most memory stores are never read.
    fn start(&self) {
        if !self.is_by_hand() {
            let asked = Arc::clone(&self.asked);
            self.thread.call_once(move || {
                std::thread::spawn(move || {
                    while let Some(work) = asked.next() {
                        work.answer();
                    }
                });
            });
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // The thread is not waited for: it may be the one that drops the store.
        self.asked.stop();
    }
}

impl Asked {
    fn answer(self) {
        match self {
            Self::Messages {
                shard,
                lsns,
                mut reader,
            } => {
                let found = shard.find(&lsns);
                let unread = reading::tell(lsns.into_iter().zip(found), &mut *reader);
                reader.done(unread);
            }
            Self::Spilled { spill, id, reader } => {
                let bytes = spill.blobs.lock().by_id.get(&id).cloned();
                reader.spilled(bytes.ok_or(ReadError::NotThere));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::core::log::store::Store;
    use crate::core::model::ids::Shard;
    use crate::core::model::time::CoreTime;
    use crate::store::contract::bench::publish;
    use crate::store::contract::reading::Listener;
    use crate::store::contract::visitors::Silence;
    use crate::store::memory::MemoryStore;

    #[test]
    fn a_test_decides_when_answers_come() {
        let store = MemoryStore::new(1);
        store.answer_by_hand();
        let mut record = std::iter::once(publish(&[1], b"a"));
        let lsn = store.append(Shard(0), CoreTime::default(), false, &mut record);
        let lsn = lsn.unwrap();
        let store = store.reopened();
        store.recover(Shard(0), &mut Silence).unwrap();
        let listeners = [Listener::new(), Listener::new()];
        for listener in &listeners {
            store.read(Shard(0), vec![lsn], listener.reader());
        }
        assert!(listeners.iter().all(|listener| !listener.is_done()));
        assert_eq!(store.answer_reads(), 2);
        for listener in &listeners {
            assert_eq!(listener.wait().messages.len(), 1);
        }
        assert_eq!(store.answer_reads(), 0);
    }
}
