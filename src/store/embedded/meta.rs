//! The data dir: its lock, and the file that says what it is.
//!
//! ```text
//! meta = "viaduct data, format 2\nuuid <32 hex digits>\nincarnation <n>\ncheckpoint <0|1>\ncrc <8 hex digits>\n"
//! ```
//! `checkpoint` (in format 1 `catalog`) says whether there must be one: without that lost files would look like an
//! empty broker. The CRC-32C covers the lines before it. The file is replaced as a whole.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use crate::core::log::store::StoreError;
use crate::core::model::ids::Identity;

use super::disk::Disk;
use crate::store::format::Version;

/// First words of the file.
const TITLE: &str = "viaduct data, format ";

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// Who the store is.
    pub(super) identity: Identity,
    /// Whether a checkpoint was ever made.
    pub(super) has_checkpoint: bool,
}

/// Takes the data dir for this process, until what is returned is dropped.
///
/// # Errors
/// [`StoreError::Locked`] if another process has it.
pub(super) fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Send>, StoreError> {
    let path = dir.join("LOCK");
    disk.lock(&path).map_err(|source| {
        if source.kind() == io::ErrorKind::WouldBlock {
            let path = dir.display().to_string();
            return StoreError::Locked { path };
        }
        io_error("lock", &path, source)
    })
}

/// Reads the file; none in a new data dir.
///
/// # Errors
/// [`StoreError::NewerFormat`], [`StoreError::Damaged`], [`StoreError::Io`].
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<(Meta, Version)>, StoreError> {
    let path = file(dir);
    let text = match disk.read_file(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(io_error("read", &path, source)),
    };
    let damaged = || StoreError::Damaged {
        path: path.display().to_string(),
        what: "it is not what this version writes, or its checksum is wrong".to_owned(),
    };
    let format = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(TITLE))
        .and_then(|format| format.parse::<u32>().ok())
        .ok_or_else(damaged)?;
    let known = Version::NEWEST.number();
    let version = u8::try_from(format).ok().and_then(Version::from_number);
    match version {
        Some(version) => match parse(&text, version) {
            Some(meta) => Ok(Some((meta, version))),
            None => Err(damaged()),
        },
        None if format > u32::from(known) => Err(StoreError::NewerFormat {
            path: dir.display().to_string(),
            found: format,
            known: u32::from(known),
        }),
        None => Err(damaged()),
    }
}

/// Replaces the file, so that after a power cut there is the old one or the new one.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn write(disk: &dyn Disk, dir: &Path, meta: &Meta) -> Result<(), StoreError> {
    let path = file(dir);
    let new = dir.join("meta.new");
    disk.write_file(&new, print(meta, Version::NEWEST).as_bytes())
        .map_err(|source| io_error("write", &new, source))?;
    disk.rename(&new, &path)
        .and_then(|()| disk.sync_dir(dir))
        .map_err(|source| io_error("replace", &path, source))
}

fn file(dir: &Path) -> PathBuf {
    dir.join("meta")
}

fn print(meta: &Meta, version: Version) -> String {
    let lines = format!(
        "{TITLE}{}\nuuid {:032x}\nincarnation {}\n{} {}\n",
        version.number(),
        meta.identity.uuid,
        meta.identity.incarnation,
        checkpoint_word(version),
        u8::from(meta.has_checkpoint),
    );
    let crc = crc32c::crc32c(lines.as_bytes());
    format!("{lines}crc {crc:08x}\n")
}

fn parse(text: &str, version: Version) -> Option<Meta> {
    let mut lines = text.lines().skip(1);
    let uuid = lines.next()?.strip_prefix("uuid ")?;
    let incarnation = lines.next()?.strip_prefix("incarnation ")?;
    let checkpoint = lines.next()?.strip_prefix(checkpoint_word(version))?;
    let meta = Meta {
        identity: Identity {
            uuid: u128::from_str_radix(uuid, 16).ok()?,
            incarnation: incarnation.parse().ok()?,
        },
        has_checkpoint: checkpoint == " 1",
    };
    (print(&meta, version) == text).then_some(meta)
}

/// In format 1 only the catalog was checkpointed.
fn checkpoint_word(version: Version) -> &'static str {
    match version {
        Version::One => "catalog",
        Version::Two => "checkpoint",
    }
}

/// An error with the file that it is about.
pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        action,
        path: path.display().to_string(),
        source,
    }
}
