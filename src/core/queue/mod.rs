//! A queue: an ordered set of entries with competing takers.
//!
//! Plain state under a short mutex that is held per batch (DESIGN §3.2). Everything that reaches beyond
//! the queue (log records, dead letters, wakes) is left in `Effects` for `Core` to carry out.

pub mod settings;

pub mod vocabulary;

pub mod entry;

pub mod take;

pub mod settle;

pub(in crate::core) mod ring;

pub mod paging;

mod runs;

pub(in crate::core) mod consumers;

pub(in crate::core) mod effects;

pub(in crate::core) mod standing;

pub(in crate::core) mod state;

mod timer;

mod mover;

pub mod clear;

pub(in crate::core) mod restore;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::core::error::CoreError;
use crate::core::inbox::Inbox;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::quarantine::Quarantined;
use crate::core::queue::consumers::ConsumerSlot;
use crate::core::queue::paging::sizes::PageSizes;
use crate::core::queue::settings::QueueSettings;
use crate::core::queue::state::QueueState;

/// A queue of a vhost.
pub struct Queue {
    id: QueueId,
    name: QueueName,
    vhost: VhostName,
    shard: Shard,
    since: u64,
    state: Mutex<QueueState>,
}

/// What a queue holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries that can be taken.
    pub ready: u64,
    /// Bytes of their bodies.
    pub ready_bytes: u64,
    /// Leased entries, all kinds of lease.
    pub leased: u64,
    /// Entries that nobody may take yet.
    pub delayed: u64,
    /// Consumers.
    pub consumers: u64,
}

impl Queue {
    pub(in crate::core) fn new(
        id: QueueId,
        name: QueueName,
        vhost: VhostName,
        shard: Shard,
        since: u64,
        settings: QueueSettings,
        sizes: &Arc<PageSizes>,
    ) -> Arc<Self> {
        let state = QueueState::new(Arc::new(settings), Arc::clone(sizes));
        let state = Mutex::new(state);
        Arc::new(Self {
            id,
            name,
            vhost,
            shard,
            since,
            state,
        })
    }

    /// Its id, never given to another queue.
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &QueueName {
        &self.name
    }

    /// The vhost that it is in.
    pub fn vhost(&self) -> &VhostName {
        &self.vhost
    }

    /// The shard of the log that its records go to.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The number of a record that was on disk when the queue was declared: no record up to it concerns the queue. 0 =
    /// not known.
    pub(in crate::core) fn since(&self) -> u64 {
        self.since
    }

    /// Why nothing can be done with a queue that [`take::Took::Gone`] was said of.
    pub fn closed_because(&self) -> CoreError {
        if let Some(why) = self.state.lock().quarantined() {
            return CoreError::Quarantined(Box::new(self.quarantined(why)));
        }
        CoreError::QueueNotFound {
            vhost: self.vhost.to_string(),
            queue: self.name.to_string(),
        }
    }

    pub(in crate::core) fn quarantined(&self, why: &Arc<str>) -> Quarantined {
        Quarantined {
            vhost: self.vhost.clone(),
            queue: self.name.clone(),
            why: Arc::clone(why),
        }
    }

    /// What holds here now.
    pub fn settings(&self) -> Arc<QueueSettings> {
        Arc::clone(self.state.lock().settings())
    }

    /// What it holds now.
    pub fn counts(&self) -> Counts {
        let state = self.state.lock();
        Counts {
            ready: state.ready,
            ready_bytes: state.ready_bytes,
            leased: state.leased,
            delayed: state.delayed.len() as u64,
            consumers: state.consumers.visible() as u64,
        }
    }

    pub(in crate::core) fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A consumer of a queue: its right to wait there. Dropping it removes it; `Core::unsubscribe` also tells
/// observers. Its leases stay with its session.
#[derive(Debug)]
pub struct Consumer {
    pub(in crate::core) queue: Arc<Queue>,
    slot: ConsumerSlot,
    is_visible: bool,
}

impl Consumer {
    /// The queue that it takes from.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub(in crate::core) fn slot(&self) -> ConsumerSlot {
        self.slot
    }

    pub(in crate::core) fn is_visible(&self) -> bool {
        self.is_visible
    }

    pub(in crate::core) fn add(
        queue: &Arc<Queue>,
        inbox: &Arc<Inbox>,
        key: u64,
        is_visible: bool,
    ) -> Option<Self> {
        let mut state = queue.lock();
        if !state.is_open() {
            return None;
        }
        let slot = state.consumers.add(inbox, key, is_visible);
        Some(Self {
            queue: Arc::clone(queue),
            slot,
            is_visible,
        })
    }
}

impl Drop for Consumer {
    /// Whoever was woken and did not come must not swallow the wake.
    fn drop(&mut self) {
        let wake = {
            let mut state = self.queue.lock();
            if !state.is_open() {
                return;
            }
            let owed = state.consumers.remove(self.slot);
            if owed && state.ready_count() > 0 {
                state.consumers.wake_one()
            } else {
                None
            }
        };
        if let Some((inbox, event)) = wake {
            inbox.post(event);
        }
    }
}
