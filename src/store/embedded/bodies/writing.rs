//! Bodies that are being written, and files that go.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyId;
use crate::core::log::bodies::BodyWriter;

use crate::store::embedded::disk::SegmentFile;
use crate::store::embedded::is_full;

use super::block;
use super::folder::Folder;

/// A durable body is synced whenever so much of it was written. All of it at its end would keep the log's own syncs
/// waiting for as long as the disk takes for half a gigabyte.
const SYNC_EVERY_BYTES: u64 = 16 * 1024 * 1024;

/// What is to be done.
pub(super) enum Write {
    Begin(BodyId, bool, Arc<dyn BodyWriter>),
    Append(BodyId, Vec<u8>),
    Finish(BodyId),
    Remove(BodyId),
}

/// A body that is not whole.
struct Open {
    file: Arc<dyn SegmentFile>,
    writer: Arc<dyn BodyWriter>,
    is_durable: bool,
    blocks: u64,
    unsynced: u64,
}

/// Everything that is being written: the state of the thread that writes.
#[derive(Default)]
pub(super) struct Writing {
    open: HashMap<BodyId, Open>,
}

impl Writing {
    /// Does one thing; returns the body that it removed.
    pub(super) fn step(&mut self, folder: &Folder, job: Write) -> Option<BodyId> {
        match job {
            Write::Begin(body, is_durable, writer) => self.begin(folder, body, is_durable, writer),
            Write::Append(body, block) => self.append(folder, body, block),
            Write::Finish(body) => self.finish(folder, body),
            Write::Remove(body) => {
                self.open.remove(&body);
                folder.remove(body);
                return Some(body);
            }
        }
        None
    }

    fn begin(
        &mut self,
        folder: &Folder,
        body: BodyId,
        is_durable: bool,
        writer: Arc<dyn BodyWriter>,
    ) {
        match folder.create(body) {
            Ok(file) => {
                let open = Open {
                    file,
                    writer,
                    is_durable,
                    blocks: 0,
                    unsynced: 0,
                };
                self.open.insert(body, open);
            }
            Err(error) => fail(folder, body, &*writer, &error),
        }
    }

    fn append(&mut self, folder: &Folder, body: BodyId, block: Vec<u8>) {
        // What is not open has failed, and its writer knows.
        let Some(open) = self.open.get_mut(&body) else {
            return;
        };
        let bytes = block.len();
        match open.append(body, block) {
            Ok(()) => open.writer.written(bytes),
            Err(error) => self.failed(folder, body, &error),
        }
    }

    fn finish(&mut self, folder: &Folder, body: BodyId) {
        let Some(open) = self.open.get_mut(&body) else {
            return;
        };
        let synced = match open.is_durable {
            true => open.file.sync().and_then(|()| folder.sync()),
            false => Ok(()),
        };
        if let Err(error) = synced {
            return self.failed(folder, body, &error);
        }
        folder.written(body, open.is_durable, open.len());
        if let Some(open) = self.open.remove(&body) {
            open.writer.ended(Ok(()));
        }
    }

    fn failed(&mut self, folder: &Folder, body: BodyId, error: &io::Error) {
        if let Some(open) = self.open.remove(&body) {
            fail(folder, body, &*open.writer, error);
        }
    }
}

impl Open {
    fn append(&mut self, body: BodyId, mut block: Vec<u8>) -> io::Result<()> {
        let bytes = block.len();
        block::close(body, self.blocks, &mut block);
        self.file.write_all_at(&block, block::offset(self.blocks))?;
        self.blocks += 1;
        self.unsynced += bytes as u64;
        if self.is_durable && self.unsynced >= SYNC_EVERY_BYTES {
            self.unsynced = 0;
            self.file.sync()?;
        }
        Ok(())
    }

    fn len(&self) -> u64 {
        self.file.len().unwrap_or(0)
    }
}

/// Gives a body up. Its room is given back at once, for that may be what the disk lacks.
fn fail(folder: &Folder, body: BodyId, writer: &dyn BodyWriter, error: &io::Error) {
    let outcome = if is_full(error) {
        BodyError::Full
    } else {
        BodyError::Failed
    };
    tracing::warn!(file = %folder.path(body).display(), %error, "a large body could not be written");
    folder.remove(body);
    writer.ended(Err(outcome));
}
