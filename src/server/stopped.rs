//! A broker that doesn't run: its state, opened under the data dir's lock by a command.

use std::sync::Arc;

use crate::config::Config;
use crate::management::Management;

use super::data_dir;
use super::error::StartError;
use super::error::StopError;
use super::foundation::Foundation;

/// What becomes of a data dir that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingDataDir {
    /// It is made, as at a broker's first start.
    Create,
    /// It is an error: whoever lists or deletes means a broker that has run, and mistyped its path.
    Refuse,
}

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
    /// [`StartError`], as for a broker without listeners; [`StartError::NoDataDir`] if it is not to be made.
    pub fn open(config: &Config, missing: MissingDataDir) -> Result<Self, StartError> {
        if missing == MissingDataDir::Refuse {
            data_dir::require(&config.data_dir)?;
        }
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
