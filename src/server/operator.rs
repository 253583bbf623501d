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
use crate::management::Task;
use crate::management::Work;

use super::foundation::Foundation;
use super::reload::Reloader;
use super::work::Works;

/// Quarantined queues that an answer names.
const QUARANTINED_MAX: usize = 100;

/// The operator's view of a running broker.
pub(super) struct BrokerOperator {
    foundation: Foundation,
    loaded: Mutex<Loaded>,
    /// Absent where the broker was started by a program rather than a command line.
    reloader: Option<Reloader>,
    is_stopping: Arc<AtomicBool>,
    works: Works,
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
            works: Works::default(),
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
        let quarantined = self.foundation.core.quarantined();
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
            damages: u64::try_from(self.foundation.log.damages().len()).unwrap_or(u64::MAX),
            quarantined_total: quarantined.len() as u64,
            quarantined: quarantined
                .iter()
                .take(QUARANTINED_MAX)
                .map(ToString::to_string)
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

    fn begin(&self, task: Task) -> Result<(), String> {
        self.works.begin(&self.foundation, &self.is_stopping, task)
    }

    fn work(&self) -> Option<Work> {
        self.works.get(self.foundation.clock.now_ms())
    }

    fn give_up(&self) {
        self.works.give_up();
    }
}
