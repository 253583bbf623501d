//! `viaduct repair`: makes a damaged data dir one that a start reads without a hole.
//!
//! Nothing is deleted. The damaged files are copied to `quarantine/<time>/` before one byte changes; then every damaged
//! place is filled with frames that say that nothing is there, under the numbers that were there, so that everything
//! behind it is kept where it is. A repair that was cut off leaves what another one goes on with.

mod bodies;
mod bridge;
mod cold;
mod fill;

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use crate::core::log::store::StoreError;
use crate::core::model::ids::Identity;

use super::checkpoint::Checkpoints;
use super::disk::Disk;
use super::disk::RealDisk;
use super::examine::CHECKPOINTS;
use super::examine::Examination;
use super::frame::SegmentHeader;
use super::meta;
use super::meta::Meta;
use super::meta::io_error;
use super::segment::LogDir;
use super::segment::SegmentId;
use super::survey::Progress;
use super::survey::Report;
use super::survey::Wound;
use super::survey::WoundKind;

use fill::Fill;

/// Where damaged files are kept, in the data dir.
const QUARANTINE: &str = "quarantine";
/// How far the incarnation goes beyond what is known of it when `meta` is gone.
const INCARNATIONS: u64 = 65_536;
/// Repairs of what a repair uncovers: a header that is made anew shows what is behind it.
const ROUNDS: usize = 4;

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// The folder with the files as they were, and the report.
    pub kept: PathBuf,
}

/// Repairs the data dir of a stopped broker, under its lock, if `agree` agrees to what it is shown. None: nothing is
/// damaged, or it did not agree; then nothing has changed. `name` is the quarantine folder's, new each time.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Damaged`] if something is left that cannot be repaired.
pub fn repair(
    dir: &Path,
    name: &str,
    progress: &Progress,
    agree: &mut dyn FnMut(&Report) -> bool,
) -> Result<Option<Repaired>, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let _lock = meta::lock(&*disk, dir)?;
    repair_on(&disk, dir, name, progress, agree)
}

/// Repairs what is on a disk. The caller holds the lock.
fn repair_on(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    name: &str,
    progress: &Progress,
    agree: &mut dyn FnMut(&Report) -> bool,
) -> Result<Option<Repaired>, StoreError> {
    // What was repaired is looked at once more.
    progress.expect_twice(true);
    let mut found = Examination::run(disk, dir, progress)?;
    progress.expect_twice(false);
    if found.report.is_sound() || !agree(&found.report) {
        return Ok(None);
    }
    let repair = Repair {
        disk,
        dir,
        log: LogDir::new(dir.join("log"), Arc::clone(disk)),
        kept: dir.join(QUARANTINE).join(name),
    };
    repair.begin(&found.report)?;
    for _ in 0..ROUNDS {
        repair.keep(&found)?;
        if found.has_only_lost_bodies() {
            repair.end_messages(&found)?;
        } else {
            repair.mend(&found)?;
        }
        found = Examination::run(disk, dir, progress)?;
        if found.report.is_sound() {
            return Ok(Some(Repaired { kept: repair.kept }));
        }
    }
    let left = found.report.damages.first();
    Err(StoreError::Damaged {
        path: left.map_or_else(|| dir.display().to_string(), |damage| damage.file.clone()),
        what: format!(
            "it cannot be repaired: {}",
            left.map_or("", |damage| damage.what.as_str())
        ),
    })
}

/// A repair of one data dir.
struct Repair<'a> {
    disk: &'a Arc<dyn Disk>,
    dir: &'a Path,
    log: LogDir,
    kept: PathBuf,
}

impl Repair<'_> {
    /// Makes the quarantine folder with the report in it.
    fn begin(&self, report: &Report) -> Result<(), StoreError> {
        let above = self.dir.join(QUARANTINE);
        for folder in [&above, &self.kept] {
            self.disk
                .make_dir(folder)
                .map_err(|e| io_error("make", folder, e))?;
        }
        let path = self.kept.join("report.json");
        let text = serde_json::to_vec_pretty(report).unwrap_or_default();
        self.disk
            .write_file(&path, &text)
            .and_then(|()| self.disk.sync_dir(&self.kept))
            .and_then(|()| self.disk.sync_dir(&above))
            .and_then(|()| self.disk.sync_dir(self.dir))
            .map_err(|e| io_error("write", &path, e))
    }

    /// Copies every file that will be changed, as it is.
    fn keep(&self, found: &Examination) -> Result<(), StoreError> {
        let mut paths: BTreeSet<PathBuf> = found
            .wounds
            .iter()
            .map(|wound| self.log.segment(wound.segment))
            .collect();
        let cold = found.cold.iter();
        paths.extend(cold.map(|id| self.log.path_of(SegmentId::Cold(*id))));
        paths.extend(found.files.iter().map(|name| self.dir.join(name)));
        for path in paths.iter().filter(|path| self.disk.exists(path)) {
            let name = path.file_name().unwrap_or_default();
            let copy = self.kept.join(name);
            // A later round finds the file changed by an earlier one: the first copy is the one that counts.
            if !self.disk.exists(&copy) {
                self.copy(path, &copy)?;
            }
        }
        self.disk
            .sync_dir(&self.kept)
            .map_err(|e| io_error("sync", &self.kept, e))
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        let bytes = self
            .disk
            .read_file(from)
            .map_err(|e| io_error("read", from, e))?;
        self.disk
            .write_file(to, &bytes)
            .map_err(|e| io_error("write", to, e))
    }

    /// Changes what is damaged.
    fn mend(&self, found: &Examination) -> Result<(), StoreError> {
        for wound in &found.wounds {
            let path = self.log.segment(wound.segment);
            self.mend_segment(wound, &path)
                .map_err(|e| io_error("repair", &path, e))?;
        }
        for id in &found.cold {
            let path = self.log.path_of(SegmentId::Cold(*id));
            self.mend_cold(*id, &path)
                .map_err(|e| io_error("repair", &path, e))?;
        }
        if let Some(next) = found.goes_on_at {
            self.go_on(next)?;
        }
        for name in &found.files {
            let path = self.dir.join(name);
            if self.disk.exists(&path) {
                // It was copied.
                self.disk
                    .remove(&path)
                    .map_err(|e| io_error("remove", &path, e))?;
            }
        }
        if found.has_checkpoint {
            self.mend_checkpoint(found)?;
        }
        // A data dir of format 1 stays one, unless what its file says has changed.
        let meta = self.meta(found)?;
        if found.meta == Some(meta) {
            return Ok(());
        }
        meta::write(&**self.disk, self.dir, &meta)
    }

    /// Copies the good generation to the other's place, and takes what is lost out of both.
    fn mend_checkpoint(&self, found: &Examination) -> Result<(), StoreError> {
        let mut is_bad = CHECKPOINTS
            .iter()
            .filter(|name| found.files.iter().any(|f| f == *name));
        if let Some(bad) = is_bad.next() {
            let good = CHECKPOINTS.iter().find(|name| *name != bad).unwrap_or(bad);
            self.copy(&self.dir.join(good), &self.dir.join(bad))?;
        }
        if found.has_losses {
            let is_there = |number| found.covered.contains(number);
            let mut checkpoints = Checkpoints::new(self.dir, self.disk);
            if checkpoints.exist() {
                checkpoints.accept_losses(&is_there)?;
            }
        }
        Ok(())
    }

    fn mend_segment(&self, wound: &Wound, path: &Path) -> std::io::Result<()> {
        let (bytes, offset) = match &wound.kind {
            WoundKind::Header(header) => (header.encode().to_vec(), 0),
            WoundKind::Range(segment) | WoundKind::End(segment) => {
                let fill = Fill {
                    segment,
                    bad: &wound.bad,
                    is_end: matches!(wound.kind, WoundKind::End(_)),
                };
                match fill.bytes() {
                    Some(bytes) => (bytes, wound.bad.start),
                    None => return self.set_aside(path),
                }
            }
            WoundKind::Whole | WoundKind::Order => return self.set_aside(path),
        };
        let file = self.disk.open(path)?;
        file.write_all_at(&bytes, offset)?;
        file.sync()
    }

    /// Takes a file out of the log. It was copied.
    fn set_aside(&self, path: &Path) -> std::io::Result<()> {
        if self.disk.exists(path) {
            self.disk.remove(path)?;
        }
        self.log.sync()
    }

    /// Lets a log of which no segment is left go on with record `next`.
    fn go_on(&self, next: u64) -> Result<(), StoreError> {
        let mut salt = [0; 8];
        let path = self.log.segment(1);
        let begun = getrandom::fill(&mut salt)
            .map_err(std::io::Error::other)
            .and_then(|()| {
                let header = SegmentHeader {
                    shard: 0,
                    chain: 0,
                    id: 1,
                    first: next,
                    salt: u64::from_le_bytes(salt),
                    previous: 0,
                };
                self.disk.write_file(&path, &header.encode())?;
                self.log.sync()
            });
        begun.map_err(|e| io_error("begin", &path, e))
    }

    /// What `meta` shall say.
    fn meta(&self, found: &Examination) -> Result<Meta, StoreError> {
        let has_checkpoint = found.has_checkpoint;
        if let Some(meta) = found.meta {
            return Ok(Meta {
                has_checkpoint,
                ..meta
            });
        }
        let mut uuid = [0; 16];
        getrandom::fill(&mut uuid)
            .map_err(|e| io_error("name", self.dir, std::io::Error::other(e)))?;
        Ok(Meta {
            identity: Identity {
                uuid: u128::from_le_bytes(uuid),
                incarnation: found.incarnation + INCARNATIONS,
            },
            has_checkpoint,
        })
    }
}

#[cfg(test)]
mod tests;
