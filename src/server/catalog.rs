//! The catalog as the directory of users sees it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::auth::Records;
use crate::auth::RecordsError;
use crate::core::Core;
use crate::core::log::store::Waiter;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;
use crate::transport::Clock;

/// Longest wait for one sync: a disk that takes longer is as good as failed to whoever waits.
const SYNC_TIMEOUT: Duration = Duration::from_secs(30);

/// Puts records of auth into core's catalog, and returns when they are on disk.
pub(super) struct CatalogRecords {
    core: Core,
    clock: Arc<Clock>,
}

impl CatalogRecords {
    pub(super) fn new(core: Core, clock: Arc<Clock>) -> Self {
        Self { core, clock }
    }
}

impl Records for CatalogRecords {
    fn put(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), RecordsError> {
        let now = CoreTime::from_ms(self.clock.now_ms());
        let lsn = self
            .core
            .put(key, value, now)
            .map_err(|error| RecordsError(error.to_string()))?;
        if wait_durable(&self.core, lsn) {
            Ok(())
        } else {
            Err(RecordsError("the log did not reach the disk".to_owned()))
        }
    }

    fn scan(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.core.scan(prefix)
    }
}

/// Blocks until the record at `lsn` is on disk; false if it never will be.
pub(super) fn wait_durable(core: &Core, lsn: Lsn) -> bool {
    let moved = Arc::new(Moved::default());
    core.store()
        .wait(lsn, Arc::clone(&moved) as Arc<dyn Waiter>);
    let mut has_moved = moved.flag.lock();
    if !*has_moved {
        moved.bell.wait_for(&mut has_moved, SYNC_TIMEOUT);
    }
    core.is_durable(lsn)
}

#[derive(Default)]
struct Moved {
    flag: Mutex<bool>,
    bell: Condvar,
}

impl Waiter for Moved {
    fn watermark_moved(&self, _: Shard) {
        *self.flag.lock() = true;
        self.bell.notify_one();
    }
}
