//! Messages whose body is lost: they end, and what is left of the files is set aside.
//!
//! The entries end as those do that a start finds no place for: a start is made, with nobody behind it, and a checkpoint
//! of what it leaves.

use std::collections::BTreeSet;

use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::StoreError;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use crate::store::embedded::bodies;
use crate::store::embedded::checkpoint::Checkpoints;
use crate::store::embedded::cold;
use crate::store::embedded::examine::Examination;
use crate::store::embedded::examine::LostBody;
use crate::store::embedded::meta;
use crate::store::embedded::meta::Meta;
use crate::store::embedded::meta::io_error;
use crate::store::embedded::places::Places;
use crate::store::embedded::recover::Known;
use crate::store::embedded::recover::Recovery;
use crate::store::embedded::shared::limits;
use crate::store::journal::Journal;

use super::Repair;

/// The only one.
const SHARD: Shard = Shard(0);
/// Bounds frames, of which this start makes none.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Has a place for every entry but those of some messages.
struct AllBut(BTreeSet<u64>);

impl Visitor for AllBut {
    fn catalog(&mut self, _: Lsn, _: &str, _: Option<&[u8]>) {}

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        !self.0.contains(&entry.message.number())
    }
}

impl Repair<'_> {
    /// Ends the messages that have lost their body. Nothing else may be damaged.
    pub(super) fn end_messages(&self, found: &Examination) -> Result<(), StoreError> {
        let mut checkpoints = Checkpoints::new(self.dir, self.disk);
        match found.has_checkpoint {
            true => checkpoints.find()?,
            false => checkpoints.begin()?,
        }
        let mut journal = Journal::new(SHARD, limits(SEGMENT_BYTES));
        let (known, coverage) = Known::load(&mut checkpoints, &mut journal)?;
        let (_, copies) = cold::find(&self.log, SHARD)?;
        let places = Places::default();
        let lost = found.bodies.iter().map(|body| body.number);
        let mut visitor = AllBut(lost.collect());
        let recovery = Recovery::new(&self.log, SHARD, &places, &mut journal, known, &mut visitor);
        recovery.with_copies(copies).run()?;
        journal.absorbed(coverage);
        checkpoints.add(journal.snapshot(), true);
        checkpoints.commit()?;
        // Both have to know: a start may have to go by either.
        checkpoints.commit()?;
        if let Some(meta) = found.meta.filter(|meta| !meta.has_checkpoint) {
            let has_checkpoint = true;
            meta::write(
                &**self.disk,
                self.dir,
                &Meta {
                    has_checkpoint,
                    ..meta
                },
            )?;
        }
        found
            .bodies
            .iter()
            .try_for_each(|body| self.keep_body(body))
    }

    /// Moves a file to the others that are kept.
    fn keep_body(&self, lost: &LostBody) -> Result<(), StoreError> {
        let name = bodies::file_name(lost.file);
        let (from, to) = (self.dir.join("big").join(&name), self.kept.join(&name));
        if !self.disk.exists(&from) {
            return Ok(());
        }
        self.disk
            .rename(&from, &to)
            .and_then(|()| self.disk.sync_dir(&self.kept))
            .map_err(|e| io_error("set aside", &from, e))
    }
}
