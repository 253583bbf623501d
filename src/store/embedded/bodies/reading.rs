//! Bodies that are being read.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyId;
use crate::core::log::bodies::BodyReader;

use crate::store::embedded::disk::SegmentFile;

use super::block;
use super::folder::Folder;

/// Files that are kept open for their next blocks.
const OPEN_MAX: usize = 32;

/// A block that is wanted.
pub(super) struct Read {
    pub(super) body: BodyId,
    /// Length of the whole body.
    pub(super) bytes: u64,
    pub(super) block: u64,
    pub(super) reader: Arc<dyn BodyReader>,
}

/// The files that were read last: the state of the thread that reads.
#[derive(Default)]
pub(super) struct Reading {
    open: VecDeque<(BodyId, Arc<dyn SegmentFile>)>,
}

impl Reading {
    /// Reads a block.
    pub(super) fn step(&mut self, folder: &Folder, read: &Read) {
        let found = self.read(folder, read).map_err(|error| {
            let file = folder.path(read.body);
            let file = file.display();
            match error {
                None => {
                    tracing::error!(%file, block = read.block, "a large body is damaged");
                    BodyError::Damaged
                }
                Some(error) if error.kind() == io::ErrorKind::NotFound => {
                    tracing::error!(%file, "a large body is missing");
                    BodyError::Damaged
                }
                Some(error) => {
                    tracing::error!(%file, %error, "a large body cannot be read");
                    BodyError::Failed
                }
            }
        });
        read.reader.read(read.block, found);
    }

    /// The block, or what the system said, if it said anything.
    fn read(&mut self, folder: &Folder, read: &Read) -> Result<Bytes, Option<io::Error>> {
        let file = self.file(folder, read.body)?;
        let length = block::length(block::part(read.bytes, read.block));
        let mut bytes = vec![0; length];
        let found = file.read_at(&mut bytes, block::offset(read.block))?;
        if found < length {
            return Err(None);
        }
        block::open(read.body, read.block, bytes).ok_or(None)
    }

    fn file(
        &mut self,
        folder: &Folder,
        body: BodyId,
    ) -> Result<Arc<dyn SegmentFile>, Option<io::Error>> {
        if let Some((_, file)) = self.open.iter().find(|(known, _)| *known == body) {
            return Ok(Arc::clone(file));
        }
        let file = folder.open(body)?;
        let mut header = [0; block::HEADER_BYTES];
        if file.read_at(&mut header, 0)? < header.len() || header != block::header(body) {
            return Err(None);
        }
        if self.open.len() >= OPEN_MAX {
            self.open.pop_front();
        }
        self.open.push_back((body, Arc::clone(&file)));
        Ok(file)
    }

    /// A body is gone: a file that stays open would keep its room.
    pub(super) fn forget(&mut self, body: BodyId) {
        self.open.retain(|(known, _)| *known != body);
    }
}
