//! The log's part of a backup: every segment up to one record, and the bodies that records name.

use std::io;

use crate::core::log::store::StoreError;

use crate::store::embedded::meta::io_error;
use crate::store::embedded::segment::SegmentId;
use crate::store::embedded::walk::Found;
use crate::store::embedded::walk::Walk;
use crate::store::embedded::walk::block;

use super::Source;
use super::copier::Copier;

/// The only one.
const SHARD: u8 = 0;

/// Copies the segments, and says which record is the last.
pub(super) fn copy(source: &Source<'_>, copier: &mut Copier<'_>) -> Result<u64, StoreError> {
    let mut last = 0;
    for id in source.log.list()?.segments {
        let path = source.log.segment(id);
        let cut = cut(source, id).map_err(|e| io_error("read", &path, e))?;
        let Some(cut) = cut else {
            // Begun after the last record, or never.
            continue;
        };
        let name = format!("log/{}", file_name(&path));
        copier.copy(&path, &name, Some(cut.end))?;
        last = last.max(cut.last);
    }
    Ok(last)
}

/// Copies the cold chain. Its records were durable before they were copied forward, so none of them is behind what the
/// backup ends with, if that is known later.
pub(super) fn copy_cold(source: &Source<'_>, copier: &mut Copier<'_>) -> Result<(), StoreError> {
    for id in source.log.list()?.cold {
        let path = source.log.path_of(SegmentId::Cold(id));
        copier.copy(&path, &format!("log/{}", file_name(&path)), None)?;
    }
    Ok(())
}

/// Copies the files of large bodies: after the log, for they are whole before a record names them.
pub(super) fn copy_bodies(source: &Source<'_>, copier: &mut Copier<'_>) -> Result<(), StoreError> {
    let names = match source.disk.names(&source.big) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_error("list", &source.big, error)),
    };
    for name in names {
        let path = source.big.join(&name);
        // An upload that was given up goes although nothing else does.
        if source.disk.exists(&path) {
            copier.expect(&path)?;
            copier.copy(&path, &format!("big/{name}"), None)?;
        }
    }
    Ok(())
}

/// Where a segment's copy ends.
struct Cut {
    end: u64,
    last: u64,
}

/// Finds the last frame that belongs to the backup. What is damaged before it is copied as it is: a start on the copy
/// finds it where it was.
fn cut(source: &Source<'_>, id: u64) -> io::Result<Option<Cut>> {
    let file = source.log.disk.open_read(&source.log.segment(id))?;
    let Some(mut walk) = Walk::open(file, SegmentId::Main(id), SHARD)? else {
        return Ok(None);
    };
    let upto = source.upto.unwrap_or(u64::MAX);
    if walk.header.first > upto.saturating_add(1) {
        return Ok(None);
    }
    let mut cut = Cut {
        end: block(),
        last: walk.header.first.saturating_sub(1),
    };
    loop {
        match walk.next(|_| true)? {
            Found::Frame(frame, _) if frame.first <= upto || frame.count == 0 => {
                cut.end = walk.offset;
                cut.last = frame.first + u64::from(frame.count) - 1;
            }
            Found::Gap(_) => {}
            Found::Frame(..) | Found::End => return Ok(Some(cut)),
        }
    }
}

fn file_name(path: &std::path::Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
