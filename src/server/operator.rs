//! What the broker tells and does for whoever operates it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::config;
use crate::config::Loaded;
use crate::management::Health;
use crate::management::Operator;
use crate::management::Reloaded;

use super::foundation::Foundation;
use super::reload::Reloader;

/// The operator's view of a running broker.
pub(super) struct BrokerOperator {
    foundation: Foundation,
    loaded: Mutex<Loaded>,
    /// Absent where the broker was started by a program rather than a command line.
    reloader: Option<Reloader>,
    is_stopping: Arc<AtomicBool>,
}

impl BrokerOperator {
    pub(super) fn new(
        foundation: Foundation,
        loaded: Loaded,
        reloader: Option<Reloader>,
        is_stopping: Arc<AtomicBool>,
    ) -> Self {
        Self {
            foundation,
            loaded: Mutex::new(loaded),
            reloader,
            is_stopping,
        }
    }
}

impl Operator for BrokerOperator {
    fn health(&self) -> Health {
        let alarms = self.foundation.core.alarms();
        let status = match (self.is_stopping.load(Ordering::Relaxed), alarms.any()) {
            (true, _) => "stopping",
            (false, true) => "alarm",
            (false, false) => "ok",
        };
        let raised = [("memory", alarms.memory()), ("disk", alarms.disk())];
        let clock = &self.foundation.clock;
        Health {
            status: status.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: clock.now_ms().saturating_sub(clock.started_ms()),
            alarms: raised
                .iter()
                .filter(|(_, raised)| *raised)
                .map(|(name, _)| (*name).to_owned())
                .collect(),
        }
    }

    fn effective_config(&self) -> String {
        config::effective(&self.loaded.lock())
    }

    fn reload(&self) -> Reloaded {
        match &self.reloader {
            Some(reloader) => reloader.reload(&mut self.loaded.lock()),
            None => {
                let problem =
                    "the broker was started by a program: it has no configuration to read again";
                Reloaded {
                    problems: vec![problem.to_owned()],
                    ..Reloaded::default()
                }
            }
        }
    }
}
