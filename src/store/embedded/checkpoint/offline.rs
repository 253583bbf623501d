//! Checkpoints that nobody writes: what is wrong with them, and what is taken out of them by a repair.

use std::path::Path;
use std::sync::Arc;

use crate::core::log::store::StoreError;

use crate::store::journal::Delta;

use super::super::disk::Disk;
use super::Checkpoints;

impl Checkpoints {
    /// Reads both files whole, without changing them, and says what is wrong with which: its name, and why.
    pub(in super::super) fn faults(dir: &Path, disk: &Arc<dyn Disk>) -> Vec<(String, StoreError)> {
        let mut looking = Self::new(dir, disk);
        let mut found = Vec::new();
        let mut is_first_ever = false;
        for (n, slot) in looking.generations.iter_mut().enumerate() {
            if !slot.file.exists() && is_first_ever {
                continue;
            }
            let read = slot.file.saved().and_then(|saved| {
                is_first_ever = saved.serial == 1;
                slot.file.catalog(&mut |_, _| {})?;
                slot.file.load().map(drop)
            });
            if let Err(error) = read {
                found.push((format!("checkpoint.{n}.redb"), error));
            }
        }
        found
    }

    /// Accepts that records are lost: nothing that `is_there` does not have lives any more, and no hole is known.
    /// Writes both generations.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(in super::super) fn accept_losses(
        &mut self,
        is_there: &dyn Fn(u64) -> bool,
    ) -> Result<(), StoreError> {
        self.find()?;
        let saved = self.load()?;
        let mut delta = Delta {
            purges: saved.purges,
            chunked: saved.chunked,
            ..Delta::default()
        };
        for (number, block) in saved.live.blocks {
            let left = block.map(|block| block.keep(number, is_there));
            delta
                .live
                .blocks
                .insert(number, left.flatten().map(Arc::new));
        }
        self.generations[0].delta.merge(delta.clone());
        self.generations[1].delta.merge(delta);
        self.commit()?;
        self.commit()
    }
}
