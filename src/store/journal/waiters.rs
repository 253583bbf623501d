//! Who waits for a watermark.

use std::sync::Arc;

use crate::core::log::store::Waiter;

use crate::store::watermark::AtomicWatermark;

/// Waiters of one shard and the record that each waits for.
///
/// INVARIANT: they stand under the log's lock, and the watermark moves through them only: so nobody looks at the old
/// watermark and begins to wait after those who waited were called.
#[derive(Default)]
pub(crate) struct Waiters(Vec<(u64, Arc<dyn Waiter>)>);

impl Waiters {
    /// Lets `waiter` wait for record `number`, or gives it back: there is nothing to wait for. Whoever gets it back calls
    /// it without the lock.
    #[must_use]
    pub(crate) fn wait(
        &mut self,
        watermark: &AtomicWatermark,
        number: u64,
        waiter: Arc<dyn Waiter>,
    ) -> Option<Arc<dyn Waiter>> {
        if watermark.answers(number) {
            return Some(waiter);
        }
        self.0.push((number, waiter));
        None
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything up to record `number` is durable: moves those to `woken` who are to be called without the lock.
    pub(crate) fn reach(
        &mut self,
        watermark: &AtomicWatermark,
        number: u64,
        woken: &mut Vec<Arc<dyn Waiter>>,
    ) {
        watermark.reach(number);
        self.take_upto(number, woken);
    }

    /// Nothing more will be durable: nor has anybody a reason to wait.
    pub(crate) fn fail(&mut self, watermark: &AtomicWatermark, woken: &mut Vec<Arc<dyn Waiter>>) {
        watermark.fail();
        self.take_upto(u64::MAX, woken);
    }

    fn take_upto(&mut self, number: u64, woken: &mut Vec<Arc<dyn Waiter>>) {
        woken.extend(
            self.0
                .extract_if(.., |(awaited, _)| *awaited <= number)
                .map(|(_, waiter)| waiter),
        );
    }
}
