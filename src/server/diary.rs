//! What happens in the core, as lines of the log.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::alarms::Alarms;
use crate::core::budget::Budget;
use crate::core::events::CoreEvent;
use crate::core::events::Observer;

/// Writes core events to the log: alarms loudly, the rest for whoever asks for debug lines.
pub(super) struct Diary {
    budget: Arc<Budget>,
    disk_floor_bytes: u64,
    /// As of the last event, to tell which alarm has changed.
    alarms: Mutex<Alarms>,
}

impl Diary {
    pub(super) fn new(budget: Arc<Budget>, disk_floor_bytes: u64) -> Self {
        Self {
            budget,
            disk_floor_bytes,
            alarms: Mutex::default(),
        }
    }

    fn alarms(&self, now: Alarms) {
        let before = std::mem::replace(&mut *self.alarms.lock(), now);
        let (used, limit) = (self.budget.used(), self.budget.limit());
        match (before.memory(), now.memory()) {
            (false, true) => tracing::warn!(
                used,
                limit,
                "memory budget used up (limits.memory_budget): publishers wait"
            ),
            (true, false) => tracing::info!(
                used,
                limit,
                "memory is below the budget again: publishers go on"
            ),
            (true, true) | (false, false) => {}
        }
        let floor = self.disk_floor_bytes;
        match (before.disk(), now.disk()) {
            (false, true) => tracing::warn!(
                floor,
                "free disk space is below the floor (limits.disk_free_floor): publishers wait"
            ),
            (true, false) => tracing::info!(
                floor,
                "free disk space is above the floor again: publishers go on"
            ),
            (true, true) | (false, false) => {}
        }
    }
}

impl Observer for Diary {
    fn event(&self, number: u64, event: &CoreEvent) {
        match event {
            CoreEvent::VhostCreated(vhost) => tracing::debug!(number, %vhost, "vhost created"),
            CoreEvent::QueueCreated(vhost, queue) => {
                tracing::debug!(number, %vhost, %queue, "queue created");
            }
            CoreEvent::QueueDeleted(vhost, queue) => {
                tracing::debug!(number, %vhost, %queue, "queue deleted");
            }
            CoreEvent::QueueQuarantined(vhost, queue) => {
                tracing::debug!(number, %vhost, %queue, "queue quarantined");
            }
            CoreEvent::ExchangeCreated(vhost, exchange) => {
                tracing::debug!(number, %vhost, %exchange, "exchange created");
            }
            CoreEvent::ExchangeDeleted(vhost, exchange) => {
                tracing::debug!(number, %vhost, %exchange, "exchange deleted");
            }
            CoreEvent::Consumers(vhost, queue, consumers) => {
                tracing::debug!(number, %vhost, %queue, consumers, "consumers changed");
            }
            CoreEvent::Alarms(alarms) => self.alarms(*alarms),
        }
    }
}
