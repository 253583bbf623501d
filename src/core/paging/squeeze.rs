//! Making room when the memory is not the pusher's: the largest queues let go of what nobody takes next.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::core::Core;
use crate::core::queue::Queue;

/// Queues that are squeezed in one step, the largest first.
const QUEUES_AT_ONCE: usize = 64;

/// Chunks that one queue puts aside in one step: its lock is held meanwhile, for some 10 ms.
const CHUNKS_AT_ONCE: usize = 64;

impl Core {
    /// Whether [`Core::squeeze`] or [`Core::reap`] would find something to do.
    pub fn has_house_work(&self) -> bool {
        self.inner.tight.is_noted() || self.inner.reaper.has_work()
    }

    /// Makes room if a push found none of its own to make. Whoever keeps house calls it about ten times a
    /// second.
    pub fn squeeze(&self) {
        let inner = &self.inner;
        if !inner.tight.take() || inner.budget.used() <= inner.cache_bytes {
            return;
        }
        for queue in self.largest() {
            if inner.budget.used() <= inner.cache_bytes {
                return;
            }
            self.squeeze_queue(&queue);
        }
        // Not enough yet, or it comes back as fast: the next step goes on.
        inner.tight.note();
    }

    /// The queues with the most bytes that are known to be in memory.
    fn largest(&self) -> Vec<Arc<Queue>> {
        let mut sized: Vec<(Reverse<u64>, Arc<Queue>)> = Vec::new();
        for vhost in self.vhosts() {
            let queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            let queues = queues.into_iter().map(|queue| {
                let warm = queue.lock().ring.warm_bytes();
                (Reverse(warm), queue)
            });
            sized.extend(queues.filter(|(Reverse(warm), _)| *warm > 0));
            if sized.len() > QUEUES_AT_ONCE {
                sized.select_nth_unstable_by_key(QUEUES_AT_ONCE, |(size, _)| *size);
                sized.truncate(QUEUES_AT_ONCE);
            }
        }
        sized.sort_by_key(|(size, _)| *size);
        sized.into_iter().map(|(_, queue)| queue).collect()
    }

    fn squeeze_queue(&self, queue: &Arc<Queue>) {
        let mut state = queue.lock();
        let mut put = self.spill(queue.shard());
        for _ in 0..CHUNKS_AT_ONCE {
            if !state.pack_one(&mut put) {
                break;
            }
        }
        if self.inner.budget.used() > self.inner.cache_bytes {
            state.chill(&mut put);
        }
        drop(put);
        self.forget_unused(queue, &mut state);
    }
}
