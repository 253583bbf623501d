//! The folder `big`, and what is known of the files in it.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::log::bodies::BodyId;
use crate::telemetry::Metrics;

use crate::store::embedded::disk::Disk;
use crate::store::embedded::disk::SegmentFile;

use super::block;

/// The files of large bodies.
pub(super) struct Folder {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    metrics: Arc<Metrics>,
    known: Mutex<HashMap<BodyId, Known>>,
}

/// A file that is whole.
#[derive(Clone, Copy)]
struct Known {
    bytes: u64,
    is_synced: bool,
}

impl Folder {
    pub(super) fn new(path: PathBuf, disk: Arc<dyn Disk>, metrics: Arc<Metrics>) -> Self {
        Self {
            path,
            disk,
            metrics,
            known: Mutex::default(),
        }
    }

    /// Learns which files are there.
    pub(super) fn list(&self) -> io::Result<()> {
        let names = self.disk.names(&self.path)?;
        for body in names.iter().filter_map(|name| parse(name)) {
            let bytes = self.open(body)?.len()?;
            self.written(body, true, bytes);
        }
        Ok(())
    }

    /// Removes files that no record names, and says which are not what a record needs.
    pub(super) fn keep(&self, named: &HashMap<BodyId, u64>) {
        let known = self.known.lock().clone();
        let abandoned = known.keys().filter(|body| !named.contains_key(body));
        let abandoned: BTreeSet<BodyId> = abandoned.copied().collect();
        for body in &abandoned {
            self.remove(*body);
        }
        if !abandoned.is_empty() {
            let removed = abandoned.len();
            tracing::info!(removed, folder = %self.path.display(), "files of abandoned bodies were removed");
        }
        for (body, bytes) in named {
            let is_whole = known
                .get(body)
                .is_some_and(|file| file.bytes >= block::file_bytes(*bytes));
            if !is_whole {
                tracing::error!(file = %self.path(*body).display(), "a large body is missing or cut short: its message is damaged");
            }
        }
    }

    /// Begins a file.
    pub(super) fn create(&self, body: BodyId) -> io::Result<Arc<dyn SegmentFile>> {
        let file = self.disk.open(&self.path(body))?;
        file.write_all_at(&block::header(body), 0)?;
        Ok(file)
    }

    /// Opens a file that is there.
    pub(super) fn open(&self, body: BodyId) -> io::Result<Arc<dyn SegmentFile>> {
        self.disk.open_read(&self.path(body))
    }

    /// A file is whole.
    pub(super) fn written(&self, body: BodyId, is_synced: bool, bytes: u64) {
        self.known.lock().insert(body, Known { bytes, is_synced });
        self.metrics.body_files.inc();
        self.metrics.body_file_bytes.inc_by(gauge(bytes));
    }

    /// Whether a file survives a power cut, as far as this folder knows.
    pub(super) fn is_synced(&self, body: BodyId) -> bool {
        let known = self.known.lock();
        known.get(&body).is_none_or(|file| file.is_synced)
    }

    /// Makes a whole file survive a power cut.
    pub(super) fn make_durable(&self, body: BodyId) -> io::Result<()> {
        if self.is_synced(body) {
            return Ok(());
        }
        self.disk.open(&self.path(body))?.sync()?;
        self.sync()?;
        if let Some(file) = self.known.lock().get_mut(&body) {
            file.is_synced = true;
        }
        Ok(())
    }

    /// Makes new names survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.path)
    }

    /// Removes a file. One that cannot be removed is tried again at the next start.
    pub(super) fn remove(&self, body: BodyId) {
        if let Some(file) = self.known.lock().remove(&body) {
            self.metrics.body_files.dec();
            self.metrics.body_file_bytes.dec_by(gauge(file.bytes));
        }
        match self.disk.remove(&self.path(body)) {
            Ok(()) => {}
            // It could not even be begun.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(file = %self.path(body).display(), %error, "a large body's file cannot be removed");
            }
        }
    }

    /// Where a body is.
    pub(super) fn path(&self, body: BodyId) -> PathBuf {
        self.path.join(name(body))
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.path
    }
}

/// A file's name: the start that wrote it, and its number there.
pub(in super::super) fn name(body: BodyId) -> String {
    format!("{:016x}", body.0)
}

/// The body that a file's name says.
pub(in super::super) fn parse(name: &str) -> Option<BodyId> {
    let body = BodyId(u64::from_str_radix(name, 16).ok()?);
    (self::name(body) == name).then_some(body)
}

fn gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
