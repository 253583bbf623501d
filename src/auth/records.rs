//! Where the directory keeps its records.
//!
//! Auth knows no store: it puts and scans JSON values by key, and the server hands it the catalog.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The catalog didn't take a record.
#[derive(Debug, thiserror::Error)]
#[error("the catalog refused the change: {0}")]
pub struct RecordsError(pub String);

/// A small ordered map of durable values.
pub trait Records: Send + Sync {
    /// Puts a value, or removes it with `None`. Returns when the change is durable.
    ///
    /// # Errors
    /// [`RecordsError`] if the change could not be made durable; then nothing has changed.
    fn put(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), RecordsError>;

    /// All values whose key starts with `prefix`, ordered by key.
    fn scan(&self, prefix: &str) -> Vec<(String, Vec<u8>)>;
}

/// Records that live as long as the process: for tests, and for a broker over the memory store.
#[derive(Debug, Default)]
pub struct MemoryRecords(Mutex<BTreeMap<String, Vec<u8>>>);

impl Records for MemoryRecords {
    fn put(&self, key: &str, value: Option<Vec<u8>>) -> Result<(), RecordsError> {
        let mut records = self.0.lock();
        match value {
            Some(value) => records.insert(key.to_owned(), value),
            None => records.remove(key),
        };
        Ok(())
    }

    fn scan(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let records = self.0.lock();
        let from = records.range(prefix.to_owned()..);
        from.take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }
}
