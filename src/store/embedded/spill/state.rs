//! Which blobs there are, where they are, and which files have room.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::log::read::ReadError;
use crate::core::log::read::SpillId;

use super::HEADER_BYTES;
use super::Rest;
use super::SegmentFile;

/// Files without a blob that are kept to be written again.
const KEPT: usize = 1;

/// What the spill's lock guards.
pub(super) struct State {
    /// Bytes of a file.
    file_bytes: u64,
    last: u64,
    blobs: HashMap<SpillId, Blob>,
    /// Blobs that the disk does not have, oldest first; some were dropped.
    unwritten: VecDeque<SpillId>,
    /// Bytes of these.
    pending_bytes: u64,
    files: BTreeMap<u64, File>,
    /// Those without a blob.
    empty: BTreeSet<u64>,
    /// Bytes of all files.
    file_bytes_in_use: u64,
    /// The file that is written.
    active: Option<u64>,
    next_file: u64,
    /// How who writes rests.
    pub(super) rest: Rest,
    /// Who writes is to end.
    pub(super) is_stopping: bool,
}

/// A blob.
enum Blob {
    Memory(Bytes),
    Disk { file: u64, offset: u64, len: u32 },
}

/// A file of blobs.
struct File {
    file: Arc<dyn SegmentFile>,
    /// Number of blobs in it.
    live: u64,
    /// Where the next blob goes.
    end: u64,
    /// Where it ended when it was longest.
    len: u64,
}

/// Where a blob is.
pub(super) enum Home {
    /// In memory.
    Memory(Bytes),
    /// In a file: its number, the file, the offset of the blob's header, the blob's length.
    Disk(u64, Arc<dyn SegmentFile>, u64, usize),
}

impl State {
    /// Nothing was put aside yet.
    pub(super) fn new(file_bytes: u64) -> Self {
        Self {
            file_bytes,
            last: 0,
            blobs: HashMap::new(),
            unwritten: VecDeque::new(),
            pending_bytes: 0,
            files: BTreeMap::new(),
            empty: BTreeSet::new(),
            file_bytes_in_use: 0,
            active: None,
            next_file: 1,
            rest: Rest::Awake,
            is_stopping: false,
        }
    }

    /// Takes a blob over.
    pub(super) fn put(&mut self, bytes: Bytes) -> SpillId {
        self.last += 1;
        let id = SpillId(self.last);
        self.pending_bytes += len_of(&bytes);
        self.blobs.insert(id, Blob::Memory(bytes));
        self.unwritten.push_back(id);
        id
    }

    /// Forgets a blob.
    pub(super) fn forget(&mut self, id: SpillId) {
        match self.blobs.remove(&id) {
            Some(Blob::Memory(bytes)) => self.pending_bytes -= len_of(&bytes),
            Some(Blob::Disk { file: number, .. }) => {
                if let Some(file) = self.files.get_mut(&number) {
                    file.live -= 1;
                    if file.live == 0 {
                        self.empty.insert(number);
                    }
                }
            }
            None => {}
        }
    }

    /// Where a blob is.
    ///
    /// # Errors
    /// [`ReadError::NotThere`].
    pub(super) fn find(&self, id: SpillId) -> Result<Home, ReadError> {
        match self.blobs.get(&id).ok_or(ReadError::NotThere)? {
            Blob::Memory(bytes) => Ok(Home::Memory(bytes.clone())),
            Blob::Disk { file, offset, len } => {
                let opened = self.files.get(file).ok_or(ReadError::NotThere)?;
                let len = usize::try_from(*len).unwrap_or(usize::MAX);
                Ok(Home::Disk(*file, Arc::clone(&opened.file), *offset, len))
            }
        }
    }

    /// Bytes of the files, and bytes that the disk does not have.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.file_bytes_in_use, self.pending_bytes)
    }

    /// Whether who writes must be told that there is something to do, which is for the caller to do.
    pub(super) fn must_kick(&mut self) -> bool {
        self.has_work() && self.rest.must_kick(true)
    }

    /// Whether there is something to do.
    pub(super) fn has_work(&self) -> bool {
        !self.unwritten.is_empty() || self.surplus().is_some()
    }

    /// Takes blobs to be written, up to so many bytes or one.
    pub(super) fn take_unwritten(&mut self, most: usize) -> Vec<(SpillId, Bytes)> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(id) = self.unwritten.front() {
            if let Some(Blob::Memory(blob)) = self.blobs.get(id) {
                bytes += HEADER_BYTES + blob.len();
                if bytes > most && !batch.is_empty() {
                    break;
                }
                batch.push((*id, blob.clone()));
            }
            self.unwritten.pop_front();
        }
        batch
    }

    /// Takes back what could not be written.
    pub(super) fn give_back(&mut self, batch: Vec<(SpillId, Bytes)>) {
        for (id, _) in batch.into_iter().rev() {
            self.unwritten.push_front(id);
        }
    }

    /// A file with room for so many bytes, and where; or the number of one that is to be begun.
    pub(super) fn room_for(&mut self, len: u64) -> Result<(u64, Arc<dyn SegmentFile>, u64), u64> {
        let has_room = |number: &u64| {
            let file = self.files.get(number);
            file.is_some_and(|f| f.live == 0 || f.end.saturating_add(len) <= self.file_bytes)
        };
        let active = self.active.filter(has_room);
        let Some(number) = active.or_else(|| self.empty.first().copied()) else {
            self.next_file += 1;
            return Err(self.next_file - 1);
        };
        self.active = Some(number);
        let Some(file) = self.files.get_mut(&number) else {
            return Err(number);
        };
        if file.live == 0 {
            file.end = 0;
        }
        Ok((number, Arc::clone(&file.file), file.end))
    }

    /// Begins the file `number`.
    pub(super) fn begin(&mut self, number: u64, file: Arc<dyn SegmentFile>) {
        let file = File {
            file,
            live: 0,
            end: 0,
            len: 0,
        };
        self.files.insert(number, file);
        self.empty.insert(number);
        self.active = Some(number);
    }

    /// Notes that blobs were written one after the other, from `offset` on.
    pub(super) fn written(&mut self, number: u64, offset: u64, batch: &[(SpillId, Bytes)]) {
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        file.end = offset;
        for (id, bytes) in batch {
            if let Some(blob) = self.blobs.get_mut(id) {
                *blob = Blob::Disk {
                    file: number,
                    offset: file.end,
                    len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                };
                file.live += 1;
                self.pending_bytes -= len_of(bytes);
            }
            file.end += len_of(bytes) + u64::try_from(HEADER_BYTES).unwrap_or(u64::MAX);
        }
        if file.live > 0 {
            self.empty.remove(&number);
        }
        self.file_bytes_in_use += file.end.saturating_sub(file.len);
        file.len = file.len.max(file.end);
    }

    /// A file without a blob that is one too many.
    pub(super) fn surplus(&self) -> Option<u64> {
        self.empty.iter().nth(KEPT).copied()
    }

    /// Forgets a file that was removed.
    pub(super) fn removed(&mut self, number: u64) {
        self.empty.remove(&number);
        if let Some(file) = self.files.remove(&number) {
            self.file_bytes_in_use -= file.len;
        }
        self.active = self.active.filter(|active| *active != number);
    }
}

fn len_of(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
