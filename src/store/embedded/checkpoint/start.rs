//! Which of the files a start goes by.

use crate::core::log::store::StoreError;

use crate::store::journal::At;
use crate::store::journal::Delta;

use super::Checkpoints;
use super::Legacy;
use super::Saved;

impl Checkpoints {
    /// Begins anew: what stands there was begun and never finished. The log still has everything.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(in super::super) fn begin(&mut self) -> Result<(), StoreError> {
        for slot in &mut self.generations {
            slot.file.remove()?;
        }
        Ok(())
    }

    /// Finds the newest generation that is whole. There must be one.
    ///
    /// # Errors
    /// [`StoreError`] when there is none.
    pub(in super::super) fn find(&mut self) -> Result<(), StoreError> {
        let mut found: [Result<Saved, StoreError>; 2] =
            self.generations.each_mut().map(|slot| slot.file.saved());
        let serial = |n: usize| found.get(n).and_then(|f| f.as_ref().ok()).map(|s| s.serial);
        let newest = match (serial(0), serial(1)) {
            (None, None) => {
                let [first, _] = found;
                return Err(lost(first.err().unwrap_or_else(|| self.missing())));
            }
            (first, second) if first >= second => 0,
            _ => 1,
        };
        let first_ever = serial(newest) == Some(1);
        for (slot, found) in self.generations.iter_mut().zip(&mut found) {
            match found {
                Ok(saved) => slot.saved = *saved,
                // There was only one yet.
                Err(_) if first_ever && !slot.file.exists() => {}
                Err(error) => tracing::warn!(
                    %error,
                    "a generation of the checkpoint is lost; the other one is used"
                ),
            }
        }
        self.take(newest)
    }

    fn missing(&self) -> StoreError {
        self.generations[0].file.damaged("it is missing")
    }

    fn take(&mut self, newest: usize) -> Result<(), StoreError> {
        let [first, second] = &mut self.generations;
        let (new, old) = if newest == 0 {
            (first, second)
        } else {
            (second, first)
        };
        new.file.renew()?;
        // What it lacks of the newest was forgotten with the last start.
        old.is_stale = true;
        self.newest = Some(newest);
        self.catalog = new.saved.catalog;
        self.at = new.saved.at;
        self.serial = new.saved.serial;
        Ok(())
    }

    /// Takes over the catalog of format 1 as the first generation.
    ///
    /// # Errors
    /// [`StoreError`]; format 1 is then as it was.
    pub(in super::super) fn take_over(&mut self, legacy: &mut Legacy) -> Result<(), StoreError> {
        self.begin()?;
        let (changes, catalog) = legacy.read()?;
        let saved = Saved {
            serial: 1,
            catalog,
            at: At::default(),
        };
        self.generations[0]
            .file
            .write(&saved, &changes, &Delta::default())?;
        self.generations[0].saved = saved;
        self.take(0)
    }
}

/// Neither generation can be read.
fn lost(error: StoreError) -> StoreError {
    let StoreError::Damaged { path, what } = error else {
        return error;
    };
    StoreError::Damaged {
        path,
        what: format!(
            "{what}, and there is no other good checkpoint; `viaduct repair` says what can be saved"
        ),
    }
}
