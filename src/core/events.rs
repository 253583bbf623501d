//! What happens in the broker, in order: consumer-cancel, advisories, event exchanges, console and log
//! all live on these.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::alarms::Alarms;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreEvent {
    /// A vhost is new.
    VhostCreated(VhostName),
    /// A queue is new.
    QueueCreated(VhostName, QueueName),
    /// A queue is gone.
    QueueDeleted(VhostName, QueueName),
    /// A queue is quarantined: nothing is taken from it or put into it any more.
    QueueQuarantined(VhostName, QueueName),
    /// An exchange is new.
    ExchangeCreated(VhostName, ExchangeName),
    /// An exchange is gone.
    ExchangeDeleted(VhostName, ExchangeName),
    /// A queue has this many consumers now.
    Consumers(VhostName, QueueName, usize),
    /// An alarm was raised or cleared.
    Alarms(Alarms),
}

/// Whoever wants to know. Called in order, one event at a time, by whoever caused it: must be quick, and
/// must not call core.
pub trait Observer: Send + Sync {
    /// The `number`th event since the start, from 1.
    fn event(&self, number: u64, event: &CoreEvent);
}

/// Hands events to observers.
#[derive(Default)]
pub(in crate::core) struct Events {
    state: Mutex<(u64, Vec<Arc<dyn Observer>>)>,
}

impl Events {
    pub(in crate::core) fn observe(&self, observer: Arc<dyn Observer>) {
        self.state.lock().1.push(observer);
    }

    pub(in crate::core) fn emit(&self, event: &CoreEvent) {
        let mut state = self.state.lock();
        let (number, observers) = &mut *state;
        *number += 1;
        for observer in observers.iter() {
            observer.event(*number, event);
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
