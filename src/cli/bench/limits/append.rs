//! Appends to a file that was filled with zeros ahead, each with an `fdatasync` behind it: how a log
//! writes that never changes the file's size, so that a sync has no metadata to write.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::cli::bench::clock::Clock;
use crate::cli::bench::clock::nanos;
use crate::cli::bench::recorder::Percentiles;
use crate::cli::bench::recorder::Recorder;

use super::tcp::per_second;

/// Bytes of the file, which is written round and round.
const SEGMENT_BYTES: usize = 64 << 20;

/// Bytes of zeros that one write puts down ahead.
const ZEROS_BYTES: usize = 1 << 20;

/// The file; dropping it deletes it.
pub(super) struct Segment {
    path: PathBuf,
    file: File,
}

impl Segment {
    /// Makes the file and fills it with zeros.
    ///
    /// # Errors
    /// The folder is not there, full or not writable.
    pub(super) fn create(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(format!("viaduct-bench-{}.tmp", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.with_context(|| format!("cannot make {}", path.display()))?;
        let mut segment = Self { path, file };
        segment
            .fill()
            .with_context(|| format!("cannot fill {}", segment.path.display()))?;
        Ok(segment)
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let zeros = vec![0; ZEROS_BYTES];
        for _ in 0..SEGMENT_BYTES / ZEROS_BYTES {
            self.file.write_all(&zeros)?;
        }
        self.file.sync_all()
    }

    /// Records a second, and how long a write with its sync takes.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn append(
        &mut self,
        size: usize,
        batch: usize,
        measure: Duration,
    ) -> anyhow::Result<(u64, Option<Percentiles>)> {
        let mut recorder = Recorder::new()?;
        let block = vec![b'.'; (size * batch).min(SEGMENT_BYTES)];
        let records = u64::try_from(block.len() / size.max(1))?;
        let mut at = 0;
        let mut written = 0;
        let clock = Clock::start();
        let mut now = clock.now();
        while now < nanos(measure) {
            if at + block.len() > SEGMENT_BYTES {
                at = 0;
            }
            self.file.write_all_at(&block, u64::try_from(at)?)?;
            self.file.sync_data()?;
            at += block.len();
            written += records;
            let then = std::mem::replace(&mut now, clock.now());
            recorder.record(now - then);
        }
        Ok((per_second(written, now), recorder.percentiles()))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Nobody is left to tell; the name says whose it is.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_written_round_and_round_and_gone_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = Segment::create(folder.path()).unwrap();
        for (size, batch) in [(1024, 1), (1024, 40_000), (1 << 20, 1000)] {
            let measured = segment
                .append(size, batch, Duration::from_millis(10))
                .unwrap();
            assert!(measured.0 > 0 && measured.1.is_some(), "{size} {batch}");
        }
        assert_eq!(segment.file.metadata().unwrap().len(), 64 << 20);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(segment);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Segment::create(Path::new("/nowhere")).err().unwrap();
        assert!(
            error.to_string().starts_with("cannot make /nowhere/"),
            "{error}"
        );
    }
}
