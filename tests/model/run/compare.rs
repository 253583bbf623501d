//! What both say about themselves.

use viaduct::core::inbox::Event;
use viaduct::core::log::store::Store;
use viaduct::core::model::time::CoreTime;
use viaduct::core::queue::Counts;
use viaduct::telemetry::DropReason;
use viaduct::telemetry::Label;

use crate::reference::Id;

use super::World;

impl World {
    /// Compares all that both say about themselves.
    pub(super) fn compare(&mut self) {
        let queues = self.vhost.queues_from("", 100);
        let names: Vec<_> = queues
            .iter()
            .map(|queue| queue.name().to_string())
            .collect();
        assert_eq!(names, self.reference.names());
        for queue in &queues {
            let id = self.reference.id_of(queue.name().as_str()).unwrap();
            let holds = self.reference.holds(id);
            let consumers = self
                .consumers
                .iter()
                .filter(|tap| tap.queue == id && tap.visible);
            let expected = Counts {
                ready: holds.ready,
                ready_bytes: holds.ready_bytes,
                leased: holds.leased,
                delayed: holds.delayed,
                consumers: consumers.count() as u64,
            };
            assert_eq!(queue.counts(), expected, "{}", queue.name());
            assert_eq!(*queue.settings(), *self.reference.settings(id));
            self.compare_wakes(id, holds.ready);
        }
        let told = std::mem::take(&mut *self.told.0.lock());
        assert_eq!(told, std::mem::take(&mut self.events), "events");
        for reason in DropReason::ALL {
            let dropped = self.metrics.dropped.of(*reason).get();
            assert_eq!(dropped, self.reference.drops().of(*reason), "{reason}");
        }
        if let Some(due) = self.reference.next_due() {
            let asked = self.core.next_due().map(CoreTime::as_ms);
            assert!(
                asked.is_some_and(|asked| asked <= due),
                "due {due}, asked {asked:?}"
            );
        }
    }

    /// What nobody refers to gives its segment back; what somebody does must not. Once nothing is under way.
    pub(super) fn compare_references(&self) {
        if self.held.is_none() {
            let references = self.store.space().references;
            assert_eq!(
                references,
                self.reference.references(),
                "references to the log"
            );
        }
    }

    /// Only those who wait are woken, the longest waiting first; and where something is ready, nobody
    /// waits unless somebody else was woken.
    pub(super) fn compare_wakes(&mut self, queue: Id, ready: u64) {
        let parked = self.reference.parked(queue);
        let mut woken = Vec::new();
        for tap in self.consumers.iter_mut().filter(|tap| tap.queue == queue) {
            while let Some(event) = tap.inbox.try_next() {
                assert_eq!(event, Event::Ready(tap.id as u64));
                assert!(!tap.woken, "woken twice");
                tap.woken = true;
                woken.push(tap.id);
            }
        }
        let is_woken = |id: &usize| self.consumers.iter().any(|tap| tap.id == *id && tap.woken);
        let waited: Vec<_> = parked
            .iter()
            .filter(|id| !is_woken(id) || woken.contains(id))
            .collect();
        let first: Vec<_> = waited.into_iter().take(woken.len()).copied().collect();
        woken.sort_by_key(|id| parked.iter().position(|parked| parked == id));
        assert_eq!(woken, first, "woken, of those who waited");
        if ready > 0 && !parked.is_empty() {
            assert!(
                parked.iter().any(is_woken),
                "entries, waiters, and nobody was woken"
            );
        }
    }
}
