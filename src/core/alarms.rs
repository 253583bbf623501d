//! Alarms: what makes publishers wait while consumers drain (DESIGN rule 3, SEMANTICS §8).

use std::sync::Arc;
use std::sync::Weak;

use crate::core::budget::Budget;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::sync::AtomicU8;
use crate::core::sync::Mutex;
use crate::core::sync::Ordering;

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

    /// Raises or clears the memory alarm as the budget says, and tells `changed` each time; true if there was one.
    ///
    /// It is looked at again after every change: whoever let go of memory meanwhile may have found the alarm as it was
    /// before, and nobody else would clear it.
    pub(in crate::core) fn follow(&self, budget: &Budget, mut changed: impl FnMut(bool)) -> bool {
        let mut is_news = false;
        while let Some(raised) = budget.alarm() {
            if !self.set(MEMORY, raised) {
                break;
            }
            changed(raised);
            is_news = true;
        }
        is_news
    }

    /// Raises or clears; true if that changed something.
    pub(in crate::core) fn set_disk(&self, raised: bool) -> bool {
        self.set(DISK, raised)
    }

    fn set(&self, bit: u8, raised: bool) -> bool {
        // Both ways: who changes it sees what those saw who found it as it should be.
        let before = if raised {
            self.raised.fetch_or(bit, Ordering::AcqRel)
        } else {
            self.raised.fetch_and(!bit, Ordering::AcqRel)
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
