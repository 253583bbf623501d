//! What happened within the last 60 seconds: AWS bars a deleted queue's name and a second purge.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::errors;
use crate::aws::config::AwsConfig;
use crate::aws::wire::AwsError;
use crate::core::model::time::CoreTime;

const WINDOW_MS: u64 = 60_000;

type Times = Mutex<HashMap<(String, String), CoreTime>>;

/// Remembers deletes and purges, where the configuration wants AWS' strictness.
///
/// Bounded by what happens in 60 seconds; forgotten by a restart, which AWS does not have.
#[derive(Debug, Default)]
pub struct Recent {
    deletes: Option<Times>,
    purges: Option<Times>,
}

impl Recent {
    /// Remembers what the configuration asks for.
    #[must_use]
    pub fn new(config: &AwsConfig) -> Self {
        Self {
            deletes: config.queue_deleted_recently.then(Times::default),
            purges: config.purge_in_progress.then(Times::default),
        }
    }

    /// A queue was deleted.
    pub fn deleted(&self, vhost: &str, name: &str, now: CoreTime) {
        if let Some(times) = &self.deletes {
            note(times, vhost, name, now);
        }
    }

    /// Whether a queue of this name may be made.
    ///
    /// # Errors
    /// `QueueDeletedRecently`.
    pub fn check_created(&self, vhost: &str, name: &str, now: CoreTime) -> Result<(), AwsError> {
        if self
            .deletes
            .as_ref()
            .is_some_and(|times| is_recent(times, vhost, name, now))
        {
            let text = "You must wait 60 seconds after deleting a queue before you can create another with the same name.";
            return Err(AwsError::new(&errors::QUEUE_DELETED_RECENTLY, text));
        }
        Ok(())
    }

    /// A queue is to be purged.
    ///
    /// # Errors
    /// `PurgeQueueInProgress`.
    pub fn purge(&self, vhost: &str, name: &str, now: CoreTime) -> Result<(), AwsError> {
        let Some(times) = &self.purges else {
            return Ok(());
        };
        if is_recent(times, vhost, name, now) {
            let text =
                format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
            return Err(AwsError::new(&errors::PURGE_QUEUE_IN_PROGRESS, text));
        }
        note(times, vhost, name, now);
        Ok(())
    }
}

fn note(times: &Times, vhost: &str, name: &str, now: CoreTime) {
    let mut times = times.lock();
    times.retain(|_, time| now.since(*time) < WINDOW_MS);
    times.insert((vhost.to_owned(), name.to_owned()), now);
}

fn is_recent(times: &Times, vhost: &str, name: &str, now: CoreTime) -> bool {
    let key = (vhost.to_owned(), name.to_owned());
    times
        .lock()
        .get(&key)
        .is_some_and(|time| now.since(*time) < WINDOW_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strictness_is_an_option_and_lasts_60_seconds() {
        let at = CoreTime::from_ms;
        let lax = Recent::new(&AwsConfig::default());
        lax.deleted("/", "q", at(0));
        assert!(lax.check_created("/", "q", at(1)).is_ok());
        assert!(lax.purge("/", "q", at(0)).is_ok() && lax.purge("/", "q", at(1)).is_ok());

        let config = AwsConfig {
            queue_deleted_recently: true,
            purge_in_progress: true,
            ..AwsConfig::default()
        };
        let strict = Recent::new(&config);
        strict.deleted("/", "q", at(0));
        let error = strict.check_created("/", "q", at(59_999)).unwrap_err();
        assert_eq!(error.kind, &errors::QUEUE_DELETED_RECENTLY);
        assert!(strict.check_created("/", "other", at(1)).is_ok());
        assert!(strict.check_created("/", "q", at(60_000)).is_ok());
        assert!(strict.purge("/", "q", at(0)).is_ok());
        assert_eq!(
            strict.purge("/", "q", at(59_999)).unwrap_err().kind.status,
            403
        );
        assert!(strict.purge("/", "q", at(60_000)).is_ok());
    }
}
