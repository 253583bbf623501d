//! A checkpoint on its way: a snapshot is taken at once, and written when the log has everything that it knows of.

use crate::core::log::store::StoreError;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;

use super::checkpoint::Changes;
use super::checkpoint::Checkpoints;
use super::meta::io_error;
use super::shared::Shared;

/// A snapshot that waits to be written.
pub(super) struct Making {
    /// The last record that must be durable before.
    upto: u64,
    /// What changed in the catalog up to a record, if somebody told.
    catalog: Option<(u64, Changes)>,
}

impl Making {
    /// Takes a snapshot of everything that was appended.
    pub(super) fn begin(
        shared: &Shared,
        checkpoints: &mut Checkpoints,
        catalog: Option<(Lsn, Changes)>,
    ) -> Self {
        let (snapshot, is_new) = {
            let mut log = shared.log.lock();
            let is_new = log.journal.has_changed();
            (log.journal.snapshot(), is_new)
        };
        let upto = snapshot.at.log;
        checkpoints.add(snapshot, is_new);
        Self {
            upto,
            catalog: catalog.map(|(lsn, changes)| (lsn.number(), changes)),
        }
    }

    /// The record that must be durable, none if there is no record yet.
    pub(super) fn upto(&self, shared: &Shared) -> Option<Lsn> {
        Lsn::new(shared.shard, self.upto)
    }

    /// Writes it; false if something of it is not durable yet. Somebody else may have taken a snapshot since, which is
    /// then written with it.
    ///
    /// # Errors
    /// [`StoreError`]; the earlier checkpoints then still hold, and the next will have what this one would have had.
    pub(super) fn finish(
        &mut self,
        shared: &Shared,
        checkpoints: &mut Checkpoints,
    ) -> Result<bool, StoreError> {
        self.upto = self.upto.max(checkpoints.at().log);
        match shared.watermark.get() {
            Watermark::Failed => {
                let error = std::io::Error::other("the log has failed");
                return Err(io_error("checkpoint", &shared.path, error));
            }
            Watermark::Durable(durable) if durable < self.upto => return Ok(false),
            Watermark::Durable(_) => {}
        }
        if let Some((upto, changes)) = self.catalog.take() {
            checkpoints.change(upto, &changes);
        }
        checkpoints.commit()?;
        shared.note_checkpoint()?;
        if checkpoints.lacks_much() {
            checkpoints.commit()?;
        }
        let coverage = checkpoints.coverage();
        let mut log = shared.log.lock();
        log.journal.absorbed(coverage);
        let must_kick = log.must_kick();
        drop(log);
        if must_kick {
            shared.kick.notify_one();
        }
        Ok(true)
    }
}
