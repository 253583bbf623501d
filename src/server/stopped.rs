//! A broker that doesn't run: its state, opened under the data dir's lock by a command.

use std::sync::Arc;

use crate::config::Config;
use crate::management::Management;

use super::error::StartError;
use super::error::StopError;
use super::foundation::Foundation;

/// The state of a stopped broker. As long as it is open, no broker can start on the data dir.
#[derive(Debug)]
pub struct Stopped {
    foundation: Foundation,
    vhosts: Vec<String>,
}

impl Stopped {
    /// Opens the state. Blocks.
    ///
    /// # Errors
    /// [`StartError`], as for a broker without listeners.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        Ok(Self {
            foundation: Foundation::open(config)?,
            vhosts: config.vhost_names(),
        })
    }

    /// The management API over it.
    pub fn management(&self) -> Management {
        Management::new(Arc::clone(&self.foundation.auth), &self.vhosts, None)
    }

    /// Syncs and closes it. Blocks.
    ///
    /// # Errors
    /// [`StopError::Close`] if the last sync failed.
    pub fn close(self) -> Result<(), StopError> {
        self.foundation.close().map_err(StopError::Close)
    }
}
