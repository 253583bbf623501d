//! The catalog's checkpoint of format 1, a database of its own.

use std::path::Path;
use std::sync::Arc;

use redb::ReadableTable;
use redb::TableDefinition;

use crate::core::log::store::StoreError;

use super::super::super::disk::Disk;
use super::super::Changes;
use super::file::RedbFile;

const CATALOG: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("shard-0");
const APPLIED: TableDefinition<'_, u8, u64> = TableDefinition::new("applied");

/// The catalog's checkpoint of format 1.
pub(in super::super::super) struct Legacy {
    file: RedbFile,
}

impl Legacy {
    /// The file in a data dir of format 1.
    pub(in super::super::super) fn new(dir: &Path, disk: Arc<dyn Disk>) -> Self {
        Self {
            file: RedbFile::new(dir.join("catalog.redb"), disk),
        }
    }

    /// Whether there is a file.
    pub(in super::super::super) fn exists(&self) -> bool {
        self.file.exists()
    }

    /// The catalog, and the last record of it.
    pub(in super::super) fn read(&mut self) -> Result<(Changes, u64), StoreError> {
        if !self.exists() {
            return Err(self.file.damaged("it is missing"));
        }
        let (changes, applied) = self.file.read(|transaction| {
            let applied = transaction.open_table(APPLIED)?.get(0)?;
            let mut changes = Changes::new();
            for row in transaction.open_table(CATALOG)?.iter()? {
                let (key, value) = row?;
                changes.insert(key.value().to_owned(), Some(value.value().to_vec()));
            }
            Ok((changes, applied.map(|applied| applied.value())))
        })?;
        let missing = || self.file.damaged("the checkpoint is missing in it");
        Ok((changes, applied.ok_or_else(missing)?))
    }

    /// Removes the file, which was taken over or never finished.
    pub(in super::super::super) fn remove(&mut self) -> Result<(), StoreError> {
        self.file.close();
        self.file.remove()
    }
}
