//! A body's file read in pieces, to see whether it is what was written.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::core::log::bodies::BodyId;

use crate::store::embedded::disk::Disk;
use crate::store::embedded::disk::SegmentFile;

use super::block;

/// Blocks that are read at once: 1 MiB, and their CRCs.
const STEP_BLOCKS: u64 = 16;

/// A file that is being read.
pub(in super::super) struct Inspection {
    file: Arc<dyn SegmentFile>,
    body: BodyId,
    /// Length of the body.
    bytes: u64,
    /// The next block.
    block: u64,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Flaw {
    /// Where the damage begins.
    pub(in super::super) offset: u64,
    /// How many bytes it takes, 0 if there is nothing.
    pub(in super::super) bytes: u64,
    /// What it is.
    pub(in super::super) what: &'static str,
}

/// What a step of an inspection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Seen {
    /// So many bytes were read and are good; there are more.
    Good(u64),
    /// All of it is good; so many bytes were read last.
    Sound(u64),
    /// It is not what was written.
    Bad(Flaw),
}

impl Inspection {
    /// Begins with the file of a body of so many bytes; the flaw if that shows at once.
    ///
    /// # Errors
    /// The disk's, here and below; not that the file is missing.
    pub(in super::super) fn begin(
        disk: &dyn Disk,
        path: &Path,
        body: BodyId,
        bytes: u64,
    ) -> io::Result<Result<Self, Flaw>> {
        let flaw = |offset, what| {
            Ok(Err(Flaw {
                offset,
                bytes: 0,
                what,
            }))
        };
        let file = match disk.open_read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return flaw(0, "the large body is missing");
            }
            opened => opened?,
        };
        let mut header = [0; block::HEADER_BYTES];
        let read = file.read_at(&mut header, 0)?;
        if read < header.len() || header != block::header(body) {
            return flaw(0, "the file does not begin as one of this body");
        }
        let len = file.len()?;
        if len < block::file_bytes(bytes) {
            return flaw(len, "the large body is cut short");
        }
        Ok(Ok(Self {
            file,
            body,
            bytes,
            block: 0,
        }))
    }

    /// Reads on.
    pub(in super::super) fn step(&mut self) -> io::Result<Seen> {
        let start = block::offset(self.block);
        let parts = self.block..self.block.saturating_add(STEP_BLOCKS);
        let parts = parts.map(|number| block::part(self.bytes, number));
        let lengths: Vec<usize> = parts
            .take_while(|part| *part > 0)
            .map(block::length)
            .collect();
        let mut bytes = vec![0; lengths.iter().sum()];
        let read = self.file.read_at(&mut bytes, start)?;
        bytes.truncate(read);
        let mut at = 0;
        for length in &lengths {
            let bad = Flaw {
                offset: start + to_u64(at),
                bytes: to_u64(*length),
                what: "a block of a large body is not what was written",
            };
            let found = bytes.get(at..at + length).unwrap_or_default();
            if !block::is_good(self.body, self.block, found) {
                return Ok(Seen::Bad(bad));
            }
            at += length;
            self.block += 1;
        }
        let read = to_u64(read);
        Ok(match block::part(self.bytes, self.block) {
            0 => Seen::Sound(read),
            _ => Seen::Good(read),
        })
    }

    /// Reads everything that is left, and says what is wrong, if something is.
    pub(in super::super) fn finish(mut self) -> io::Result<Option<Flaw>> {
        loop {
            match self.step()? {
                Seen::Good(_) => {}
                Seen::Sound(_) => return Ok(None),
                Seen::Bad(flaw) => return Ok(Some(flaw)),
            }
        }
    }
}

fn to_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
