//! Records by number, out of stretches of segments that are read at once and kept for their neighbours.
//!
//! INVARIANT: what is handed out stood in a frame of the right segment in the right life of its file, with a right
//! CRC, at the number that was asked for. Anything else is an error.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::log::read::ReadError;

use super::super::disk::SegmentFile;
use super::super::places::Stretch;
use super::super::shared::Shared;
use super::piece::Piece;

/// Most that is read at once, unless a single frame is longer.
const READ_BYTES: u64 = 1024 * 1024;
/// Most bytes that are kept for whoever asks next: two frames of the largest size.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// Most files that are held open.
const KEPT_FILES: usize = 16;
/// How often a record is looked for that is moved while it is read.
const TRIES: usize = 4;

/// Records of a log.
pub(super) struct Frames {
    shared: Arc<Shared>,
    /// Open files, the one used last at the end.
    files: Vec<(u64, Arc<dyn SegmentFile>)>,
    /// What was read, the one used last at the end.
    pieces: Vec<Piece>,
}

/// Why a record was not found where it should be.
enum Miss {
    Io(io::Error),
    Damaged(&'static str),
}

impl Frames {
    /// Nothing read yet.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            files: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Forgets a segment.
    pub(super) fn forget(&mut self, segment: u64) {
        self.files.retain(|(id, _)| *id != segment);
        self.pieces.retain(|piece| piece.stretch.segment != segment);
    }

    /// The first of some ascending records, without its length. The others say what else is worth reading.
    ///
    /// # Errors
    /// [`ReadError::NotThere`], [`ReadError::Damaged`], [`ReadError::Io`].
    pub(super) fn record(&mut self, wanted: &[u64]) -> Result<Bytes, ReadError> {
        let number = *wanted.first().ok_or(ReadError::NotThere)?;
        for _ in 0..TRIES {
            let stretch = match self.piece(number) {
                Some(stretch) => stretch,
                None => self.find(wanted)?,
            };
            let miss = match self.record_in(stretch, number) {
                Ok(record) => return Ok(record),
                Err(miss) => miss,
            };
            self.forget(stretch.segment);
            // Its segment may be gone since, or its file have another life already.
            let now = self.find(wanted)?;
            if (now.segment, now.salt) == (stretch.segment, stretch.salt) {
                return Err(self.say(miss, number, stretch));
            }
        }
        Err(ReadError::Io)
    }

    fn find(&self, wanted: &[u64]) -> Result<Stretch, ReadError> {
        let found = self.shared.places.find(wanted, READ_BYTES);
        found.ok_or(ReadError::NotThere)
    }

    /// The stretch of the kept piece that has a record; it is the last one then.
    fn piece(&mut self, number: u64) -> Option<Stretch> {
        let at = self.pieces.iter().rposition(|piece| piece.covers(number))?;
        if at + 1 < self.pieces.len() {
            let piece = self.pieces.remove(at);
            self.pieces.push(piece);
        }
        self.pieces.last().map(|piece| piece.stretch)
    }

    /// The record in the last piece, if that is the stretch's, or in what is read of it.
    fn record_in(&mut self, stretch: Stretch, number: u64) -> Result<Bytes, Miss> {
        if self
            .pieces
            .last()
            .is_none_or(|piece| piece.stretch != stretch)
        {
            let piece = self.load(stretch).map_err(Miss::Io)?;
            self.keep(piece);
        }
        let piece = self.pieces.last_mut();
        let piece = piece.ok_or(Miss::Damaged("nothing could be read"))?;
        piece.record(number).map_err(Miss::Damaged)
    }

    fn load(&mut self, stretch: Stretch) -> io::Result<Piece> {
        let file = self.open(stretch.segment)?;
        let len = usize::try_from(stretch.end - stretch.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        let read = file.read_at(&mut bytes, stretch.start)?;
        bytes.truncate(read);
        Ok(Piece::new(stretch, self.shared.shard.0, bytes.into()))
    }

    fn keep(&mut self, piece: Piece) {
        self.pieces.push(piece);
        let mut bytes: usize = self.pieces.iter().map(Piece::len).sum();
        while bytes > KEPT_BYTES && self.pieces.len() > 1 {
            bytes -= self.pieces.remove(0).len();
        }
    }

    fn open(&mut self, segment: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let opened = self.files.iter().position(|(id, _)| *id == segment);
        let (id, file) = match opened {
            Some(at) => self.files.remove(at),
            None => {
                let dir = &self.shared.dir;
                (segment, dir.disk.open_read(&dir.segment(segment))?)
            }
        };
        if self.files.len() >= KEPT_FILES {
            self.files.remove(0);
        }
        self.files.push((id, Arc::clone(&file)));
        Ok(file)
    }

    fn say(&self, miss: Miss, number: u64, stretch: Stretch) -> ReadError {
        let file = self.shared.dir.segment(stretch.segment);
        let (file, offset) = (file.display(), stretch.start);
        match miss {
            Miss::Io(error) => {
                tracing::error!(%file, offset, number, %error, "a message cannot be read");
                ReadError::Io
            }
            Miss::Damaged(what) => {
                tracing::error!(%file, offset, number, what, "a message is damaged");
                ReadError::Damaged
            }
        }
    }
}
