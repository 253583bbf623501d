//! What memory has no room for, put aside in files of its own: not durable, gone with the process.
//!
//! A blob stays in memory until it is written, behind a header that names it:
//!
//! ```text
//! 0 id u64 · 8 length u32 · 12 CRC-32C of bytes 0..12 and of the blob u32 · 16 the blob      (little-endian)
//! ```
//! A file takes blobs until it is full; when the last of them is dropped it is written from its start again.
//! Nothing is synced, since nothing is read after a crash: what a start finds is removed.

mod state;

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::core::log::read::ReadError;
use crate::core::log::read::SpillId;
use crate::core::sync::Condvar;
use crate::core::sync::Mutex;
use bytes::Bytes;

use super::crew::Acted;
use super::crew::Actor;
use super::disk::Disk;
use super::disk::SegmentFile;
use super::rest;
use super::rest::Rest;
use super::shared::Shared;

use state::Home;
use state::State;

/// Most bytes that are written at once, if there is more than one blob.
const WRITE_BYTES: usize = 1024 * 1024;
/// Bytes of a blob's header.
const HEADER_BYTES: usize = 16;
/// How soon a disk that refused is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// The spill of a store.
pub(super) struct Spill {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Spill {
    /// An empty spill in `dir`, in files of so many bytes; a blob may be longer, and has a file of its own then. What an
    /// earlier start left there is removed.
    ///
    /// # Errors
    /// What the system says of the directory.
    pub(super) fn open(dir: &Path, disk: Arc<dyn Disk>, file_bytes: u64) -> io::Result<Self> {
        disk.make_dir(dir)?;
        for name in disk.names(dir)? {
            disk.remove(&dir.join(name))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            disk,
            state: Mutex::new(State::new(file_bytes)),
            changed: Condvar::new(),
        })
    }

    /// Puts a blob aside: into memory, for now.
    pub(super) fn put(&self, bytes: Vec<u8>) -> SpillId {
        let (id, must_kick) = {
            let mut state = self.state.lock();
            (state.put(bytes.into()), state.must_kick())
        };
        if must_kick {
            self.changed.notify_one();
        }
        id
    }

    /// Forgets a blob.
    pub(super) fn forget(&self, id: SpillId) {
        let must_kick = {
            let mut state = self.state.lock();
            state.forget(id);
            state.must_kick()
        };
        if must_kick {
            self.changed.notify_one();
        }
    }

    /// Reads a blob back.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(super) fn get(&self, id: SpillId) -> Result<Bytes, ReadError> {
        let (number, file, offset, len) = match self.state.lock().find(id)? {
            Home::Memory(bytes) => return Ok(bytes),
            Home::Disk(number, file, offset, len) => (number, file, offset, len),
        };
        let mut bytes = vec![0; HEADER_BYTES + len];
        let error = match file.read_at(&mut bytes, offset) {
            Ok(read) if read == bytes.len() && is_blob(id, &bytes) => {
                return Ok(Bytes::from(bytes).slice(HEADER_BYTES..));
            }
            Ok(_) => ReadError::Damaged,
            Err(_) => ReadError::Io,
        };
        // It may have been dropped meanwhile, and its place be another's already.
        self.state.lock().find(id)?;
        let file = self.path(number);
        tracing::error!(file = %file.display(), offset, %error, "what was put aside cannot be read back");
        Err(error)
    }

    /// Bytes of the files, and bytes in memory that the disk does not have.
    pub(super) fn bytes(&self) -> (u64, u64) {
        self.state.lock().bytes()
    }

    /// Ends who writes; what is in memory stays there.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Writes some of what is in memory, or removes a file that nobody needs; false if there is nothing to do.
    ///
    /// # Errors
    /// What the disk says; then everything is as before.
    pub(super) fn step(&self) -> io::Result<bool> {
        let batch = self.state.lock().take_unwritten(WRITE_BYTES);
        if batch.is_empty() {
            return self.remove_surplus();
        }
        let mut bytes = Vec::new();
        for (id, blob) in &batch {
            encode(*id, blob, &mut bytes);
        }
        let written = self.write(&bytes);
        let mut state = self.state.lock();
        match written {
            Ok((file, offset)) => {
                state.written(file, offset, &batch);
                Ok(true)
            }
            Err(error) => {
                state.give_back(batch);
                Err(error)
            }
        }
    }

    /// Writes blobs one after the other, and says to which file and where.
    fn write(&self, bytes: &[u8]) -> io::Result<(u64, u64)> {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let free = self.state.lock().room_for(len);
        let (number, file, offset) = match free {
            Ok(free) => free,
            Err(number) => {
                let file = self.disk.open(&self.path(number))?;
                self.state.lock().begin(number, Arc::clone(&file));
                (number, file, 0)
            }
        };
        file.write_all_at(bytes, offset)?;
        Ok((number, offset))
    }

    fn remove_surplus(&self) -> io::Result<bool> {
        let Some(number) = self.state.lock().surplus() else {
            return Ok(false);
        };
        self.disk.remove(&self.path(number))?;
        self.state.lock().removed(number);
        Ok(true)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:010}"))
    }
}

/// Writes what is in memory, and tidies up.
pub(super) struct Spiller {
    shared: Arc<Shared>,
    has_warned: bool,
}

impl Spiller {
    /// Who works on a log's spill.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            has_warned: false,
        }
    }
}

impl Actor for Spiller {
    fn act(&mut self, _: Instant) -> Acted {
        let spill = &self.shared.spill;
        let done = spill.step();
        if spill.state.lock().is_stopping {
            return Acted::Ended;
        }
        match done {
            Ok(true) => {
                self.has_warned = false;
                Acted::Done
            }
            Ok(false) => Acted::Rests(None),
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    let dir = spill.dir.display();
                    tracing::warn!(%dir, %error, "what is put aside stays in memory");
                }
                Acted::Rests(Some(RETRY))
            }
        }
    }

    fn rest(&mut self, most: Option<Duration>) {
        let spill = &self.shared.spill;
        let mut state = spill.state.lock();
        match most {
            _ if state.is_stopping => {}
            Some(most) => drop(spill.changed.wait_for(&mut state, most)),
            // What came since the step looked has not kicked.
            None if state.has_work() => {}
            None => {
                state.rest = Rest::Asleep;
                rest::sleep(&mut state, |state| &mut state.rest, &spill.changed, None);
            }
        }
    }
}

/// Appends a blob with its header.
fn encode(id: SpillId, blob: &[u8], out: &mut Vec<u8>) {
    let header = header(id, blob);
    out.extend_from_slice(&header);
    out.extend_from_slice(blob);
}

fn header(id: SpillId, blob: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let len = u32::try_from(blob.len()).unwrap_or(u32::MAX);
    let named = id.0.to_le_bytes().into_iter().chain(len.to_le_bytes());
    for (to, from) in header.iter_mut().zip(named) {
        *to = from;
    }
    let crc = crc32c::crc32c(header.get(..12).unwrap_or_default());
    let crc = crc32c::crc32c_append(crc, blob);
    if let Some(field) = header.last_chunk_mut() {
        *field = crc.to_le_bytes();
    }
    header
}

/// Whether bytes are a header and the blob that it names.
fn is_blob(id: SpillId, bytes: &[u8]) -> bool {
    bytes
        .split_first_chunk::<HEADER_BYTES>()
        .is_some_and(|(start, blob)| *start == header(id, blob))
}

#[cfg(test)]
mod tests;
