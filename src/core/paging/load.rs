//! Reads that are under way for a queue. Their answers come from a thread of the store.

use std::sync::Arc;
use std::sync::Weak;

use bytes::Bytes;

use crate::core::Core;
use crate::core::budget::Budget;
use crate::core::log::bodies::Bodies;
use crate::core::log::read::ReadError;
use crate::core::log::read::Reader;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;
use crate::core::log::record::MessageFields;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::quarantine::Quarantine;
use crate::core::queue::Queue;
use crate::core::queue::effects::Effects;
use crate::core::queue::paging::Load;
use crate::core::queue::paging::Purpose;
use crate::core::queue::paging::What;
use crate::core::queue::paging::blob;
use crate::core::queue::paging::gather::Gather;
use crate::core::queue::paging::loaded::Read;
use crate::core::queue::state::QueueState;
use crate::core::record_of::draft_of;
use crate::core::timers::Timers;
use crate::telemetry::Metrics;

/// Where an answer goes. It holds neither the core nor the queue: whoever stops waits for no read.
struct Answer {
    queue: Weak<Queue>,
    purpose: Purpose,
    budget: Arc<Budget>,
    timers: Arc<Timers>,
    metrics: Arc<Metrics>,
    quarantine: Arc<Quarantine>,
}

impl Core {
    /// Asks the store. Called under the queue's lock.
    pub(super) fn load(&self, queue: &Arc<Queue>, load: Load) {
        let (store, shard) = (&self.inner.store, queue.shard());
        let answer = Answer {
            queue: Arc::downgrade(queue),
            purpose: load.purpose,
            budget: Arc::clone(&self.inner.budget),
            timers: Arc::clone(&self.inner.timers),
            metrics: Arc::clone(&self.inner.metrics),
            quarantine: Arc::clone(&self.inner.quarantine),
        };
        self.inner.metrics.page_reads.inc();
        match load.what {
            What::Messages(wanted) => {
                let mut lsns: Vec<Lsn> = wanted.iter().map(|(lsn, _)| *lsn).collect();
                lsns.dedup();
                let gather = Gather::new(Arc::clone(&answer.budget));
                let messages = Messages {
                    answer,
                    wanted,
                    gather,
                    bodies: Arc::clone(store.bodies()),
                    store: Arc::downgrade(store),
                    unreadable: Vec::new(),
                };
                store.read(shard, lsns, Box::new(messages));
            }
            What::Blob { base, id } => {
                store.spill_get(shard, id, Box::new(Blob { answer, base, id }));
            }
            What::Chunk { base, id } => {
                store.spill_get(shard, id, Box::new(Chunk { answer, base, id }));
            }
        }
    }
}

impl Answer {
    /// Tells the queue, if it is still there, and wakes whoever it wakes.
    fn deliver(&self, arrive: impl FnOnce(&mut QueueState, &mut Effects)) {
        let Some(queue) = self.queue.upgrade() else {
            return;
        };
        let mut effects = Effects::default();
        let fault = {
            let mut state = queue.lock();
            arrive(&mut state, &mut effects);
            state.pages.fault.take()
        };
        if let Some(why) = fault {
            self.quarantine.put_for_message(&queue, &why);
        }
        if let Some(due) = effects.due {
            self.timers.set(&queue, due);
        }
        self.metrics.wakes.inc_by(effects.wakes.len() as u64);
        effects.wake();
    }
}

/// Messages of the log.
struct Messages {
    answer: Answer,
    wanted: Vec<(Lsn, u64)>,
    gather: Gather<Lsn>,
    bodies: Arc<dyn Bodies>,
    /// Says where a message is that cannot be read. What waits in the store does not hold it.
    store: Weak<dyn Store>,
    unreadable: Vec<(Lsn, ReadError)>,
}

impl Reader for Messages {
    fn message(&mut self, lsn: Lsn, fields: &MessageFields<'_>, chunks: Vec<Bytes>) {
        match draft_of(fields, lsn, chunks, &self.bodies) {
            Some((draft, of)) => self.gather.push(draft, of, lsn),
            None => self.unreadable.push((lsn, ReadError::Damaged)),
        }
    }

    fn done(self: Box<Self>, mut unread: Vec<(Lsn, ReadError)>) {
        let this = *self;
        unread.extend(this.unreadable);
        let messages = this.gather.finish();
        this.answer
            .metrics
            .page_read_messages
            .inc_by(messages.len() as u64);
        let place = match (unread.first(), this.store.upgrade()) {
            (Some((lsn, _)), Some(store)) => store.place(*lsn),
            _ => String::new(),
        };
        let read = Read {
            messages,
            unread,
            place,
        };
        let purpose = this.answer.purpose;
        this.answer.deliver(|state, effects| {
            state.messages_loaded(purpose, &this.wanted, read, effects);
        });
    }
}

/// Messages that were put aside.
struct Blob {
    answer: Answer,
    base: u64,
    id: SpillId,
}

impl SpillReader for Blob {
    fn spilled(self: Box<Self>, bytes: Result<Bytes, ReadError>) {
        let mut gather = Gather::new(Arc::clone(&self.answer.budget));
        let messages = bytes.and_then(|bytes| match blob::decode(&bytes, &mut gather) {
            Ok(()) => Ok(gather.finish()),
            Err(_) => Err(ReadError::Damaged),
        });
        let (purpose, of) = (self.answer.purpose, (self.base, self.id));
        self.answer.deliver(|state, effects| {
            state.blob_loaded(purpose, of, messages, effects);
        });
    }
}

/// The entries of a chunk.
struct Chunk {
    answer: Answer,
    base: u64,
    id: SpillId,
}

impl SpillReader for Chunk {
    fn spilled(self: Box<Self>, bytes: Result<Bytes, ReadError>) {
        let (purpose, of) = (self.answer.purpose, (self.base, self.id));
        self.answer.deliver(|state, effects| {
            state.chunk_loaded(purpose, of, bytes, effects);
        });
    }
}
