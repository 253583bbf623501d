//! Who waits for a watermark.

use std::sync::Arc;

use crate::core::log::store::Waiter;

/// Waiters of one shard and the record that each waits for.
#[derive(Default)]
pub(crate) struct Waiters(Vec<(u64, Arc<dyn Waiter>)>);

impl Waiters {
    /// Adds a waiter.
    pub(crate) fn add(&mut self, number: u64, waiter: Arc<dyn Waiter>) {
        self.0.push((number, waiter));
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Moves those that waited for a record up to `number` to `woken`.
    pub(crate) fn take_upto(&mut self, number: u64, woken: &mut Vec<Arc<dyn Waiter>>) {
        woken.extend(
            self.0
                .extract_if(.., |(awaited, _)| *awaited <= number)
                .map(|(_, waiter)| waiter),
        );
    }
}
