//! Alarms: what makes publishers wait while consumers drain (DESIGN rule 3, SEMANTICS §8).

use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;

const MEMORY: u8 = 1;
const DISK: u8 = 2;

/// Which alarms are raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alarms(u8);

impl Alarms {
    /// Whether publishers wait.
    pub fn any(self) -> bool {
        self.0 != 0
    }

    /// The memory budget is used up.
    pub fn memory(self) -> bool {
        self.0 & MEMORY != 0
    }

    /// Free disk space is below its floor.
    pub fn disk(self) -> bool {
        self.0 & DISK != 0
    }
}

/// The alarms, and who wants to know.
#[derive(Debug, Default)]
pub(in crate::core) struct AlarmState {
    raised: AtomicU8,
    watchers: Mutex<Vec<Weak<Inbox>>>,
}

impl AlarmState {
    pub(in crate::core) fn get(&self) -> Alarms {
        Alarms(self.raised.load(Ordering::Relaxed))
    }

    pub(in crate::core) fn watch(&self, inbox: &Arc<Inbox>) {
        let mut watchers = self.watchers.lock();
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(inbox));
    }

    /// Raises or clears; true if that changed something.
    pub(in crate::core) fn set_memory(&self, raised: bool) -> bool {
        self.set(MEMORY, raised)
    }

    /// Raises or clears; true if that changed something.
    pub(in crate::core) fn set_disk(&self, raised: bool) -> bool {
        self.set(DISK, raised)
    }

    fn set(&self, bit: u8, raised: bool) -> bool {
        let before = if raised {
            self.raised.fetch_or(bit, Ordering::Relaxed)
        } else {
            self.raised.fetch_and(!bit, Ordering::Relaxed)
        };
        let changed = (before & bit != 0) != raised;
        if changed {
            let watchers: Vec<_> = self
                .watchers
                .lock()
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            for inbox in watchers {
                inbox.post(Event::AlarmsChanged);
            }
        }
        changed
    }
}
