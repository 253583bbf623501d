//! Records by number, out of stretches of segments that are read at once and kept for their neighbours.
//!
//! INVARIANT: what is handed out stood in a frame of the right segment in the right life of its file, with a right
//! CRC, at the number that was asked for. Anything else is an error.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::log::read::ReadError;
use crate::core::model::ids::Shard;

use crate::store::format::Version;

use super::super::disk::SegmentFile;
use super::super::places::Stretch;
use super::super::segment::SegmentId;
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
pub(in super::super) struct Frames {
    shared: Arc<Shared>,
    /// Open files, the one used last at the end.
    files: Vec<(SegmentId, Arc<dyn SegmentFile>)>,
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
    pub(in super::super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            files: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// The shard whose records they are.
    pub(in super::super) fn shard(&self) -> Shard {
        self.shared.shard
    }

    /// Forgets a segment.
    pub(in super::super) fn forget(&mut self, segment: SegmentId) {
        self.files.retain(|(id, _)| *id != segment);
        self.pieces.retain(|piece| piece.stretch.segment != segment);
    }

    /// The first of some ascending records, without its length, and by which rules it is read. The others say what else is worth reading.
    ///
    /// # Errors
    /// [`ReadError::NotThere`], [`ReadError::Damaged`], [`ReadError::Io`].
    pub(in super::super) fn record(
        &mut self,
        wanted: &[u64],
    ) -> Result<(Version, Bytes), ReadError> {
        let number = *wanted.first().ok_or(ReadError::NotThere)?;
        for _ in 0..TRIES {
            let kept = self.piece(number);
            let stretch = kept.map_or_else(|| self.find(wanted), Ok)?;
            let miss = match self.record_in(stretch, kept.is_some(), number) {
                Ok(record) => return Ok(record),
                Err(miss) => miss,
            };
            self.forget(stretch.segment);
            // Its segment may be gone since, or its file have another life already.
            let now = self.find(wanted)?;
            let is_same = (now.segment, now.salt) == (stretch.segment, stretch.salt);
            if is_same && kept.is_none() {
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

    /// The record in the last piece, which is read of the stretch unless it was kept.
    fn record_in(
        &mut self,
        stretch: Stretch,
        is_kept: bool,
        number: u64,
    ) -> Result<(Version, Bytes), Miss> {
        if !is_kept {
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

    fn open(&mut self, segment: SegmentId) -> io::Result<Arc<dyn SegmentFile>> {
        let opened = self.files.iter().position(|(id, _)| *id == segment);
        let (id, file) = match opened {
            Some(at) => self.files.remove(at),
            None => {
                let dir = &self.shared.dir;
                (segment, dir.disk.open_read(&dir.path_of(segment))?)
            }
        };
        if self.files.len() >= KEPT_FILES {
            self.files.remove(0);
        }
        self.files.push((id, Arc::clone(&file)));
        Ok(file)
    }

    fn say(&self, miss: Miss, number: u64, stretch: Stretch) -> ReadError {
        let file = self.shared.dir.path_of(stretch.segment);
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
