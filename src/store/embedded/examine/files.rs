//! The files beside the log: what the data dir is, and the checkpoint.

use std::sync::Arc;

use crate::core::log::store::StoreError;

use crate::store::format::Version;

use super::super::checkpoint::Checkpoints;
use super::super::checkpoint::Legacy;
use super::super::meta;
use super::super::meta::Meta;
use super::CHECKPOINTS;
use super::Examiner;
use super::file_damage;

impl Examiner<'_> {
    /// Reads `meta`.
    pub(super) fn meta(&mut self, has_log: bool) -> Result<Option<(Meta, Version)>, StoreError> {
        let remedy = "it is made anew, with a new identity";
        match meta::read(&*self.disk, self.dir) {
            Ok(None) if has_log => {
                self.file_damage("meta", "it is missing", remedy);
                Ok(None)
            }
            Err(StoreError::Damaged { what, .. }) => {
                self.file_damage("meta", &what, remedy);
                Ok(None)
            }
            read => read,
        }
    }

    /// Reads the checkpoint; none if there is none that is good.
    pub(super) fn checkpoints(
        &mut self,
        meta: Option<(Meta, Version)>,
    ) -> Result<Option<Checkpoints>, StoreError> {
        let mut checkpoints = Checkpoints::new(self.dir, &self.disk);
        let must_be = match meta {
            Some((meta, Version::One)) => return self.legacy(meta, checkpoints),
            Some((meta, Version::Two)) => meta.has_checkpoint,
            None => checkpoints.exist(),
        };
        if !must_be {
            return Ok(None);
        }
        for name in CHECKPOINTS {
            let file = self.disk.open_read(&self.dir.join(name));
            self.report.files += u64::from(file.is_ok());
            self.report.bytes += file.and_then(|file| file.len()).unwrap_or(0);
        }
        let faults = Checkpoints::faults(self.dir, &self.disk);
        let is_lost = faults.len() == CHECKPOINTS.len();
        let remedy = if is_lost {
            "it is set aside and made anew from what the log still has: what was declared before that is lost, and messages \
             that were settled may come back"
        } else {
            "it is set aside, and a copy of the other one takes its place"
        };
        for (name, error) in faults {
            let StoreError::Damaged { what, .. } = error else {
                return Err(error);
            };
            self.file_damage(&name, &what, remedy);
        }
        if is_lost {
            return Ok(None);
        }
        checkpoints.find()?;
        Ok(Some(checkpoints))
    }

    /// Reads the catalog's checkpoint of format 1.
    fn legacy(
        &mut self,
        meta: Meta,
        mut checkpoints: Checkpoints,
    ) -> Result<Option<Checkpoints>, StoreError> {
        if !meta.has_checkpoint {
            return Ok(None);
        }
        let mut legacy = Legacy::new(self.dir, Arc::clone(&self.disk));
        match checkpoints.take_over(&mut legacy) {
            Ok(()) => Ok(Some(checkpoints)),
            Err(StoreError::Damaged { what, .. }) => {
                let remedy =
                    "it is set aside, and the catalog is made anew from what the log still has";
                self.file_damage("catalog.redb", &what, remedy);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn file_damage(&mut self, name: &str, what: &str, remedy: &str) {
        self.files.push(name.to_owned());
        let found = file_damage(&self.dir.join(name), what, remedy);
        self.report.damages.push(found);
    }
}
