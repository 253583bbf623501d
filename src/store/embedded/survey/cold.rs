//! A segment of the cold chain, read front to back.

use std::io;

use crate::store::embedded::segment::LogDir;
use crate::store::embedded::segment::SegmentId;
use crate::store::embedded::walk::Bad;
use crate::store::embedded::walk::Found;
use crate::store::embedded::walk::Walk;
use crate::store::embedded::walk::block;

use super::Frame;
use super::Progress;
use super::chain::OnFrame;
use super::chain::SHARD;
use super::judge::of_frame;

/// A cold segment that was read.
pub(crate) struct ColdSegment {
    /// Its id.
    pub(crate) id: u64,
    /// Length of its file.
    pub(crate) len: u64,
    /// What is not what was written. In the newest two segments that may be what was being written when the power went.
    pub(crate) bad: Vec<Bad>,
}

/// Reads a cold segment, and shows its good frames.
///
/// # Errors
/// The disk's, and the end that somebody asked for.
pub(crate) fn read_cold(
    dir: &LogDir,
    id: u64,
    progress: &Progress,
    on_frame: &mut OnFrame<'_>,
) -> io::Result<ColdSegment> {
    let segment = SegmentId::Cold(id);
    let file = dir.disk.open_read(&dir.path_of(segment))?;
    let len = file.len()?;
    let mut read = ColdSegment {
        id,
        len,
        bad: Vec::new(),
    };
    let mut at = 0;
    let Some(mut walk) = Walk::open(file, segment, SHARD)? else {
        progress.done(len)?;
        return Ok(read);
    };
    if !walk.has_header {
        read.bad
            .push(bad(0, block(), "the segment's header is bad"));
    }
    loop {
        let (header, offset) = match walk.next(|_| true)? {
            Found::Frame(header, offset) => (header, offset),
            Found::Gap(gap) => {
                read.bad.push(gap);
                continue;
            }
            Found::End => break,
        };
        let frame = Frame::of(&mut walk, header, offset)?;
        if on_frame(id, &frame).is_err() {
            read.bad.push(of_frame(&frame));
        }
        progress.done(walk.offset.saturating_sub(at))?;
        at = walk.offset;
    }
    if !walk.is_sealed
        && let Some(torn) = walk.torn()?
    {
        let end = walk.offset + torn;
        read.bad
            .push(bad(walk.offset, end, "a frame is not what was written"));
    }
    progress.done(len.saturating_sub(at))?;
    Ok(read)
}

/// A place of which no frame says what was in it.
fn bad(start: u64, end: u64, what: &'static str) -> Bad {
    Bad {
        start,
        end,
        first: 0,
        next: None,
        before: None,
        behind: None,
        what,
    }
}
