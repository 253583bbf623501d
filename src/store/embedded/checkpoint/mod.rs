//! Checkpoints: two files that are written in turn, each a [`generation::Generation`].
//!
//! A generation gets what changed since its own last commit. What the older one has absorbed as well may leave the
//! log; so a start finds everything when one of the two is damaged, and replays a little more.

mod generation;
mod offline;
mod rows;
mod start;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::core::log::store::StoreError;

use crate::store::journal::At;
use crate::store::journal::Coverage;
use crate::store::journal::Delta;
use crate::store::journal::Snapshot;

use super::backup::Copier;
use super::disk::Disk;

pub(super) use generation::Generation;
pub(super) use generation::Legacy;
pub(super) use generation::Saved;

/// Bytes of catalog changes that may wait in memory for the older generation's turn.
const LACKING_MAX: usize = 256 * 1024;

/// Changes of the catalog: each key with its new value, or none.
pub(super) type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// The two generations of a shard's checkpoint.
pub(super) struct Checkpoints {
    generations: [Slot; 2],
    /// Which was written last, none if there was never one.
    newest: Option<usize>,
    /// The last catalog record that was ever told to be absorbed.
    catalog: u64,
    /// Where the newest snapshot stands.
    at: At,
    /// Its number, and that of the newest that had something new.
    snapshot: u64,
    changed_with: u64,
    serial: u64,
}

/// A generation, and what it lacks.
struct Slot {
    file: Generation,
    /// What the file has; nothing if it is not there or cannot be read.
    saved: Saved,
    /// Snapshot of this start that the file has.
    snapshot: u64,
    delta: Delta,
    changes: Changes,
    /// The file is not what it lacks `delta` of: it has to be a copy of the other first.
    is_stale: bool,
}

impl Checkpoints {
    /// The files in a data dir; nothing is opened yet.
    pub(super) fn new(dir: &Path, disk: &Arc<dyn Disk>) -> Self {
        let slot = |n: u8| Slot {
            file: Generation::new(dir.join(format!("checkpoint.{n}.redb")), Arc::clone(disk)),
            saved: Saved::default(),
            snapshot: 0,
            delta: Delta::default(),
            changes: Changes::new(),
            is_stale: false,
        };
        Self {
            generations: [slot(0), slot(1)],
            newest: None,
            catalog: 0,
            at: At::default(),
            snapshot: 0,
            changed_with: 0,
            serial: 0,
        }
    }

    /// Whether there is a file.
    pub(super) fn exist(&self) -> bool {
        self.generations.iter().any(|slot| slot.file.exists())
    }

    /// What the newest generation has absorbed, none if there was never one.
    pub(super) fn saved(&self) -> Option<Saved> {
        let newest = self.newest?;
        self.generations.get(newest).map(|slot| slot.saved)
    }

    /// Hands over the newest generation's catalog.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub(super) fn catalog(&mut self, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), StoreError> {
        match self
            .newest
            .and_then(|newest| self.generations.get_mut(newest))
        {
            Some(slot) => slot.file.catalog(visit),
            None => Ok(()),
        }
    }

    /// Everything that the newest generation has but the catalog.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub(super) fn load(&mut self) -> Result<Delta, StoreError> {
        match self
            .newest
            .and_then(|newest| self.generations.get_mut(newest))
        {
            Some(slot) => slot.file.load(),
            None => Ok(Delta::default()),
        }
    }

    /// Copies the files as the last commit left them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn copy(&self, copier: &mut Copier<'_>) -> Result<(), StoreError> {
        let mut files = self.generations.iter().map(|slot| &slot.file);
        files.try_for_each(|file| file.copy(copier))
    }

    /// What both generations have.
    pub(super) fn coverage(&self) -> Coverage {
        let [first, second] = self.generations.each_ref().map(Slot::coverage);
        first.least(second)
    }

    /// Where the newest snapshot stands, which may not be written yet.
    pub(super) fn at(&self) -> At {
        self.at
    }

    /// Whether a generation lacks something that a snapshot had.
    pub(super) fn is_behind(&self) -> bool {
        let is_behind = |slot: &Slot| {
            slot.snapshot < self.changed_with
                || slot.saved.catalog < self.catalog
                || !slot.changes.is_empty()
        };
        self.generations.iter().any(is_behind)
    }

    /// Whether the older generation lacks so much of the catalog that memory had better not keep it.
    pub(super) fn lacks_much(&self) -> bool {
        self.generations
            .iter()
            .any(|slot| weight(&slot.changes) > LACKING_MAX)
    }

    /// Notes changes of the catalog up to record `upto`.
    pub(super) fn change(&mut self, upto: u64, changes: &Changes) {
        self.catalog = self.catalog.max(upto);
        for slot in &mut self.generations {
            slot.changes.extend(changes.clone());
        }
    }

    /// Notes a snapshot; whether it has something new.
    pub(super) fn add(&mut self, snapshot: Snapshot, is_new: bool) {
        self.at = snapshot.at;
        self.snapshot = snapshot.serial;
        if is_new {
            self.changed_with = snapshot.serial;
        }
        let [first, second] = &mut self.generations;
        first.delta.merge(snapshot.delta.clone());
        second.delta.merge(snapshot.delta);
    }

    /// Writes the older generation: then it is the newest. Everything that was noted is durable in the log.
    ///
    /// # Errors
    /// [`StoreError`]; the other one is as it was.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        let target = self.newest.map_or(0, |newest| 1 - newest);
        let saved = Saved {
            serial: self.serial + 1,
            catalog: self.catalog,
            at: self.at,
        };
        let [first, second] = &mut self.generations;
        let (slot, other) = if target == 0 {
            (first, second)
        } else {
            (second, first)
        };
        if slot.is_stale {
            slot.file.copy_of(&mut other.file)?;
            slot.is_stale = false;
        }
        slot.file.write(&saved, &slot.changes, &slot.delta)?;
        slot.saved = saved;
        slot.snapshot = self.snapshot;
        slot.delta = Delta::default();
        slot.changes.clear();
        self.newest = Some(target);
        self.serial += 1;
        Ok(())
    }

    /// Gives the files back.
    pub(super) fn close(&mut self) {
        for slot in &mut self.generations {
            slot.file.close();
        }
    }
}

/// Bytes that changes take in memory, about.
fn weight(changes: &Changes) -> usize {
    let value = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
    let rows = changes.len() * size_of::<(String, Option<Vec<u8>>)>();
    let texts = changes.iter().map(|(key, v)| key.len() + value(v));
    rows + texts.sum::<usize>()
}

impl Slot {
    fn coverage(&self) -> Coverage {
        Coverage {
            log: self.saved.at.log,
            catalog: self.saved.catalog,
            snapshot: self.snapshot,
        }
    }
}
