//! From a backup to a data dir.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::core::log::store::StoreError;

use crate::store::embedded::disk::Disk;
use crate::store::embedded::disk::RealDisk;
use crate::store::embedded::meta;
use crate::store::embedded::meta::io_error;
use crate::store::embedded::survey::Progress;

use super::MANIFEST;
use super::Saved;
use super::copier::Copier;
use super::manifest::Manifest;

/// How far the incarnation grows. The broker that was backed up goes on, too: what it names until it has been started so
/// many times (queues, messages, receipt handles) is not named again by the one that was restored.
const INCARNATIONS: u64 = 65_536;

/// Makes a data dir, which must be empty or missing, of a backup.
///
/// # Errors
/// [`StoreError::Damaged`] if the backup is not whole, or not what was written; [`StoreError::Io`]. Then the data dir has no
/// file `meta`, and no broker starts on it.
pub fn restore(backup: &Path, dir: &Path, progress: &Progress) -> Result<Saved, StoreError> {
    restore_on(
        &(Arc::new(RealDisk) as Arc<dyn Disk>),
        backup,
        dir,
        progress,
    )
}

pub(super) fn restore_on(
    disk: &Arc<dyn Disk>,
    backup: &Path,
    dir: &Path,
    progress: &Progress,
) -> Result<Saved, StoreError> {
    let manifest = read(&**disk, backup)?;
    let mut copier = Copier::new(disk, dir, progress, Duration::ZERO);
    copier.expect_empty()?;
    let lock = meta::lock(&**disk, dir)?;
    for folder in ["log", "big"] {
        copier.make_dir(folder)?;
    }
    progress.expect(manifest.saved().bytes);
    for file in &manifest.files {
        copier.copy(&backup.join(&file.name), &file.name, None)?;
    }
    let copied = copier.finish()?;
    if let Some((file, _)) = manifest.files.iter().zip(&copied).find(|(a, b)| a != b) {
        return Err(damaged(
            &backup.join(&file.name),
            "it is not what the manifest says",
        ));
    }
    let mut meta = manifest.meta;
    meta.identity.incarnation += INCARNATIONS;
    meta::write(&**disk, dir, &meta)?;
    super::super::sync_parent(&**disk, dir).map_err(|e| io_error("sync the folder of", dir, e))?;
    drop(lock);
    Ok(manifest.saved())
}

fn read(disk: &dyn Disk, backup: &Path) -> Result<Manifest, StoreError> {
    let path = backup.join(MANIFEST);
    let bytes = match disk.read_file(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(
                backup,
                "it has no MANIFEST: no backup was finished there",
            ));
        }
        Err(error) => return Err(io_error("read", &path, error)),
    };
    let manifest = Manifest::parse(&String::from_utf8_lossy(&bytes));
    manifest.ok_or_else(|| damaged(&path, "it is not what a backup of this version writes"))
}

fn damaged(path: &Path, what: &str) -> StoreError {
    StoreError::Damaged {
        path: path.display().to_string(),
        what: what.to_owned(),
    }
}
