//! Paging, seen from the whole: what queues want is read from the store, what memory has no room for is put
//! aside, and what is no more is released by and by.
//!
//! Lock order: a queue's lock may be held when the store is asked. The store answers from a thread of its
//! own without its locks, and the answer locks the queue.

mod load;

pub(in crate::core) mod reap;

mod squeeze;

pub(in crate::core) mod tight;

use std::sync::Arc;

use crate::core::Core;
use crate::core::log::read::SpillId;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Effects;
use crate::core::queue::state::QueueState;

impl Core {
    /// Starts what an operation wants read, and lets go of what it does not want any more. Called under the
    /// queue's lock after every operation; a few instructions when everything is in memory.
    pub(in crate::core) fn page(
        &self,
        queue: &Arc<Queue>,
        state: &mut QueueState,
        effects: &mut Effects,
        now: CoreTime,
    ) {
        if !state.is_paging() {
            return;
        }
        for load in state.wanted(now, effects) {
            self.load(queue, load);
        }
        state.pack_swept(now, &mut self.spill(queue.shard()));
        self.forget_unused(queue, state);
        effects.fault = state.pages.fault.take();
    }

    /// After a push: above the cache's size, what was pushed to a deep queue does not stay in memory.
    pub(in crate::core) fn make_room(&self, queue: &Arc<Queue>, state: &mut QueueState) {
        if self.inner.budget.used() <= self.inner.cache_bytes {
            return;
        }
        if !state.pack_newest(&mut self.spill(queue.shard())) {
            // The memory is another's.
            self.inner.tight.note();
        }
        self.forget_unused(queue, state);
    }

    fn forget_unused(&self, queue: &Queue, state: &mut QueueState) {
        for id in state.ring.take_unused() {
            self.inner.store.spill_drop(queue.shard(), id);
        }
    }

    /// Puts bytes aside in a shard.
    pub(in crate::core) fn spill(&self, shard: Shard) -> impl FnMut(Vec<u8>) -> SpillId {
        move |bytes| self.inner.store.spill_put(shard, bytes)
    }
}
