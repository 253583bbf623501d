//! A body on its way out.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::core::body::BodyFile;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyReader;

/// Blocks that are asked for before they are needed.
const AHEAD_BLOCKS: u64 = 2;

/// What there is of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Its next bytes, never empty.
    Bytes(&'a [u8]),
    /// [`Event::BodyMoved`] says when to ask again.
    Waits,
    /// All of it was read.
    End,
    /// It cannot be read.
    Unreadable(BodyError),
}

/// A body that is being read. What an earlier start wrote is read as a whole before its first byte is shown, so that
/// damage is mostly found while nothing has been sent.
pub struct Download {
    file: Arc<BodyFile>,
    /// It is read to see whether it can be.
    checks: bool,
    blocks: u64,
    asked: u64,
    taken: u64,
    current: Bytes,
    failed: Option<BodyError>,
    cell: Arc<Cell>,
}

/// What the store has answered.
struct Cell {
    inbox: Arc<Inbox>,
    ready: Mutex<VecDeque<(u64, Result<Bytes, BodyError>)>>,
}

impl Download {
    pub(super) fn begin(file: Arc<BodyFile>, inbox: &Arc<Inbox>) -> Self {
        let mut download = Self {
            checks: !file.is_checked(),
            blocks: file.bytes.div_ceil(BODY_BLOCK_BYTES as u64),
            file,
            asked: 0,
            taken: 0,
            current: Bytes::new(),
            failed: None,
            cell: Arc::new(Cell {
                inbox: Arc::clone(inbox),
                ready: Mutex::default(),
            }),
        };
        download.ask();
        download
    }

    /// The body's handle.
    pub fn file(&self) -> &Arc<BodyFile> {
        &self.file
    }

    /// What is there of it.
    pub fn part(&mut self) -> Part<'_> {
        while self.current.is_empty() && self.failed.is_none() {
            if self.taken == self.blocks && !self.checks {
                return Part::End;
            }
            if self.taken == self.blocks {
                self.file.set_checked();
                (self.checks, self.asked, self.taken) = (false, 0, 0);
                self.ask();
                continue;
            }
            let Some((block, read)) = self.cell.ready.lock().pop_front() else {
                return Part::Waits;
            };
            self.take(block, read);
        }
        match self.failed {
            Some(error) => Part::Unreadable(error),
            None => Part::Bytes(&self.current),
        }
    }

    fn take(&mut self, block: u64, read: Result<Bytes, BodyError>) {
        match read {
            Ok(bytes) if block == self.taken && !bytes.is_empty() => {
                self.taken += 1;
                if !self.checks {
                    self.current = bytes;
                }
                self.ask();
            }
            Ok(_) => self.failed = Some(BodyError::Damaged),
            Err(error) => self.failed = Some(error),
        }
    }

    /// So many bytes of the last part were used.
    ///
    /// # Panics
    /// For more than there were.
    pub fn advance(&mut self, bytes: usize) {
        let _ = self.current.split_to(bytes);
    }

    fn ask(&mut self) {
        while self.asked < self.blocks.min(self.taken + AHEAD_BLOCKS) {
            let reader = Arc::clone(&self.cell) as Arc<dyn BodyReader>;
            let (file, block) = (&self.file, self.asked);
            self.asked += 1;
            file.bodies.read(file.id, file.bytes, block, reader);
        }
    }
}

impl BodyReader for Cell {
    fn read(&self, block: u64, bytes: Result<Bytes, BodyError>) {
        self.ready.lock().push_back((block, bytes));
        self.inbox.post(Event::BodyMoved);
    }
}
