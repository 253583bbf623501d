//! Reading the configuration again, by SIGHUP or `viaduct reload`.

use crate::config::Loaded;
use crate::config::Sources;
use crate::config::changed_keys;
use crate::management::Reloaded;
use crate::telemetry::LogHandle;

/// Keys whose new value is taken over while the broker runs.
const LIVE: [&str; 1] = ["log.level"];

/// Reads the sources of the command line again.
#[derive(Clone, Debug)]
pub(super) struct Reloader {
    sources: Sources,
    log: Option<LogHandle>,
}

impl Reloader {
    pub(super) fn new(sources: Sources, log: Option<LogHandle>) -> Self {
        Self { sources, log }
    }

    /// Takes over what can be taken over into `current`, and names the rest. With any problem
    /// nothing changes.
    pub(super) fn reload(&self, current: &mut Loaded) -> Reloaded {
        let fresh = match self.sources.load() {
            Ok(fresh) => fresh,
            Err(error) => {
                let problems = error.0.iter().map(ToString::to_string).collect();
                return Reloaded {
                    problems,
                    ..Reloaded::default()
                };
            }
        };
        let changed = changed_keys(current, &fresh);
        let (live, needs_restart): (Vec<_>, Vec<_>) = changed
            .into_iter()
            .partition(|key| LIVE.contains(&key.as_str()));
        if let Some(log) = self.log.as_ref().filter(|_| !live.is_empty())
            && let Err(error) = log.set_level(&fresh.config.log)
        {
            return Reloaded {
                problems: vec![error.to_string()],
                ..Reloaded::default()
            };
        }
        current.config.log.level.clone_from(&fresh.config.log.level);
        for key in &live {
            match fresh.origins.get(key) {
                Some(origin) => current.origins.insert(key.clone(), origin.clone()),
                None => current.origins.remove(key),
            };
        }
        Reloaded {
            applied: live,
            needs_restart,
            problems: Vec::new(),
        }
    }
}
