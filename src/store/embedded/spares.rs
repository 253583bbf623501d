//! Spare segments, and the actor that makes them.
//!
//! The writer takes a spare when its segment is full, and makes one itself, not zero-filled, if there is
//! none. What is recycled becomes a spare. When the disk is full no spare can be made: the bytes that are
//! left in spares then are what appends may still use.
//!
//! The last spare is a *reserve*: it is taken when the disk turned out to be full, and by the writer only. What was
//! appended before anybody knew goes there, and from then on what is urgent.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use super::active::bytes_of;
use super::crew::Acted;
use super::crew::Actor;
use super::disk::SegmentFile;
use super::filled::FilledFile;
use super::frame::BLOCK_BYTES;
use super::segment::LogDir;
use super::segment::SegmentId;
use super::shared::Shared;

/// Spares that are made ahead, the reserve among them.
const WANTED: usize = 3;
/// Spares that are left for a full disk.
const RESERVED: usize = 1;
/// Spares that are kept when many segments become free at once: with the newest segments and the cold one that is
/// written no more than what the log may take beside what lives.
const KEPT: usize = 3;
/// Between two pieces of zeros: what is made ahead must not slow down what is written now.
const PACE: Duration = Duration::from_millis(5);
/// How soon a disk that refused is tried again; a recycled segment is noticed at once.
const RETRY: Duration = Duration::from_millis(250);

/// The spares of a log.
pub(super) struct Spares {
    dir: Arc<LogDir>,
    segment_bytes: u64,
    state: Mutex<State>,
    changed: Condvar,
    /// The disk is full: no spare could be made.
    starved: Arc<AtomicBool>,
    /// Bytes of the spares.
    ready_bytes: AtomicU64,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Spare>,
    /// Segments that nothing holds any more.
    recycled: VecDeque<SegmentId>,
    /// How many want recycled segments to stay as they are.
    pins: usize,
    /// The segment that is written while its end is not filled yet.
    filling: Option<Arc<FilledFile>>,
    next_number: u64,
    /// The writer found no spare, so it needs them sooner.
    hurries: bool,
    stopping: bool,
}

/// A file that can become a segment.
pub(super) struct Spare {
    /// Its number.
    pub(super) number: u64,
    /// The file.
    pub(super) file: Arc<FilledFile>,
}

/// What is done next.
enum Work {
    Fill(Arc<FilledFile>),
    Recycle(SegmentId),
    Make(u64),
    Nothing,
    Stop,
}

impl Spares {
    /// No spares yet.
    pub(super) fn new(dir: Arc<LogDir>, segment_bytes: u64) -> Self {
        Self {
            dir,
            segment_bytes,
            state: Mutex::default(),
            changed: Condvar::new(),
            starved: Arc::default(),
            ready_bytes: AtomicU64::new(0),
        }
    }

    /// Takes over spare files of an earlier start; those that were not filled to their end are removed.
    pub(super) fn adopt(&self, numbers: &[u64]) -> io::Result<()> {
        let mut state = self.state.lock();
        for number in numbers {
            state.next_number = state.next_number.max(number + 1);
            let path = self.dir.spare(*number);
            let file = self.dir.disk.open(&path)?;
            if file.len()? >= self.segment_bytes && state.ready.len() < KEPT {
                self.add_ready(&mut state, *number, file);
            } else {
                self.dir.disk.remove(&path)?;
            }
        }
        Ok(())
    }

    /// Whether the disk is full, for who looks at it often.
    pub(super) fn starved(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.starved)
    }

    /// Whether the disk is full, and how many bytes the spares then still hold.
    pub(super) fn left_when_full(&self) -> Option<u64> {
        self.starved
            .load(Ordering::Acquire)
            .then(|| self.ready_bytes())
    }

    /// Bytes of the spares.
    pub(super) fn ready_bytes(&self) -> u64 {
        self.ready_bytes.load(Ordering::Acquire)
    }

    /// Takes a spare for a segment, or makes one that has `filled` bytes of zeros and is filled on while it is used. The
    /// reserve is for the main chain, when the disk has no room for another.
    pub(super) fn take(&self, segment: SegmentId, filled: u64) -> io::Result<Spare> {
        let is_main = matches!(segment, SegmentId::Main(_));
        // On a full disk there may be room for a header, but who knows for what else.
        let is_needed = is_main && self.starved.load(Ordering::Acquire);
        if let Some(spare) = self.pop(if is_needed { 0 } else { RESERVED }) {
            return Ok(spare);
        }
        match self.make_now(filled) {
            Err(error) if is_main && super::is_full(&error) => {
                self.starve();
                self.pop(0).ok_or(error)
            }
            made => made,
        }
    }

    /// Whether there is a spare, be it the reserve.
    pub(super) fn has_spare(&self) -> bool {
        !self.state.lock().ready.is_empty()
    }

    /// Takes a spare, unless only so many are left.
    fn pop(&self, leave: usize) -> Option<Spare> {
        let mut state = self.state.lock();
        if state.ready.len() <= leave {
            return None;
        }
        let spare = state.ready.pop_front()?;
        self.ready_bytes
            .fetch_sub(self.segment_bytes, Ordering::AcqRel);
        self.changed.notify_one();
        Some(spare)
    }

    /// Makes a spare that is used at once.
    fn make_now(&self, filled: u64) -> io::Result<Spare> {
        let number = {
            let mut state = self.state.lock();
            // A new log's first segment is what everyone starts with.
            state.hurries = filled == 0;
            let number = state.next_number;
            state.next_number += 1;
            number
        };
        let path = self.dir.spare(number);
        let file = Arc::new(self.open_empty(&path)?);
        if let Err(error) = fill(&file, filled) {
            let _ = self.dir.disk.remove(&path);
            return Err(error);
        }
        let mut state = self.state.lock();
        state.filling = Some(Arc::clone(&file));
        self.changed.notify_one();
        Ok(Spare { number, file })
    }

    /// A segment that nothing holds any more.
    pub(super) fn recycle(&self, segment: SegmentId) {
        self.state.lock().recycled.push_back(segment);
        self.changed.notify_one();
    }

    /// Leaves segments that nothing holds any more as they are, under their names, until [`Self::unpin`].
    pub(super) fn pin(&self) {
        self.state.lock().pins += 1;
    }

    /// Ends one [`Self::pin`].
    pub(super) fn unpin(&self) {
        self.state.lock().pins -= 1;
        self.changed.notify_one();
    }

    /// Notes that a write found the disk full.
    pub(super) fn starve(&self) {
        // With the lock, or who makes spares may look just before and sleep over the notice.
        let _state = self.state.lock();
        self.starved.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    /// Ends who makes spares, after what was recycled.
    pub(super) fn stop(&self) {
        self.state.lock().stopping = true;
        self.changed.notify_one();
    }

    fn next_work(&self) -> Work {
        let mut state = self.state.lock();
        if state.pins == 0
            && let Some(segment) = state.recycled.pop_front()
        {
            return Work::Recycle(segment);
        }
        if state.stopping {
            return Work::Stop;
        }
        if state.filling.as_ref().is_some_and(|file| file.is_full()) {
            state.filling = None;
        }
        if let Some(file) = &state.filling {
            return Work::Fill(Arc::clone(file));
        }
        if state.ready.len() < WANTED {
            let number = state.next_number;
            state.next_number += 1;
            return Work::Make(number);
        }
        state.hurries = false;
        if self.starved.swap(false, Ordering::AcqRel) {
            tracing::info!("the log can make room ahead again");
        }
        Work::Nothing
    }

    /// Between two pieces of zeros: a moment, unless the writer needs spares.
    fn pace(&self) -> Acted {
        if self.state.lock().hurries {
            Acted::Done
        } else {
            Acted::Rests(Some(PACE))
        }
    }

    fn has_work(&self, state: &State) -> bool {
        let recycles = state.pins == 0 && !state.recycled.is_empty();
        let fills = state.filling.as_ref().is_some_and(|file| !file.is_full());
        let makes = state.ready.len() < WANTED;
        recycles || fills || makes || self.starved.load(Ordering::Acquire)
    }

    fn fill_on(&self, file: &FilledFile) -> io::Result<Acted> {
        if let Err(error) = file.fill_step() {
            // The writer grows the file where it must.
            self.state.lock().filling = None;
            return Err(error);
        }
        Ok(self.pace())
    }

    /// One after the other and each for good: a later segment may hold what settles an earlier one, and
    /// must not be gone while that one is there after a power cut.
    fn make_spare_of(&self, segment: SegmentId) -> io::Result<()> {
        let spare = self.reuse(segment);
        if spare.is_err() {
            self.state.lock().recycled.push_front(segment);
        }
        spare
    }

    fn reuse(&self, segment: SegmentId) -> io::Result<()> {
        let (number, is_wanted) = {
            let mut state = self.state.lock();
            state.next_number += 1;
            (state.next_number - 1, state.ready.len() < KEPT)
        };
        let old = self.dir.path_of(segment);
        if !is_wanted {
            self.dir.disk.remove(&old)?;
            return self.dir.sync();
        }
        let new = self.dir.spare(number);
        self.dir.disk.rename(&old, &new)?;
        self.dir.sync()?;
        let file = self.dir.disk.open(&new)?;
        if file.len()? < self.segment_bytes {
            return self.dir.disk.remove(&new);
        }
        self.add_ready(&mut self.state.lock(), number, file);
        Ok(())
    }

    fn open_empty(&self, path: &Path) -> io::Result<FilledFile> {
        let (file, zeros) = (self.dir.disk.open(path)?, self.dir.disk.open(path)?);
        Ok(FilledFile::empty(file, zeros, self.segment_bytes))
    }

    fn add_ready(&self, state: &mut State, number: u64, file: Arc<dyn SegmentFile>) {
        let file = Arc::new(FilledFile::whole(file, self.segment_bytes));
        state.ready.push_back(Spare { number, file });
        self.ready_bytes
            .fetch_add(self.segment_bytes, Ordering::AcqRel);
    }
}

/// Gives a new file so many bytes of zeros, and at least a header and a seal: a segment that is begun can be left.
fn fill(file: &FilledFile, filled: u64) -> io::Result<()> {
    while file.filled() < filled && !file.is_full() {
        file.fill_step()?;
    }
    file.grow(2 * bytes_of(BLOCK_BYTES))
}

/// Makes spares.
pub(super) struct Maker {
    shared: Arc<Shared>,
    /// The one that is being made, and its number.
    making: Option<(u64, FilledFile)>,
    has_warned: bool,
}

impl Maker {
    /// Who makes the spares of a log.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            making: None,
            has_warned: false,
        }
    }

    fn step(&mut self) -> io::Result<Acted> {
        if let Some((number, file)) = self.making.take() {
            return self.make(number, file);
        }
        let spares = &self.shared.spares;
        match spares.next_work() {
            Work::Stop => Ok(Acted::Ended),
            Work::Nothing => Ok(Acted::Rests(None)),
            Work::Fill(file) => spares.fill_on(&file),
            Work::Recycle(segment) => spares.make_spare_of(segment).map(|()| Acted::Done),
            Work::Make(number) => {
                let file = spares.open_empty(&spares.dir.spare(number))?;
                self.making = Some((number, file));
                Ok(spares.pace())
            }
        }
    }

    /// Fills a spare on, which is one when it is full.
    fn make(&mut self, number: u64, filled: FilledFile) -> io::Result<Acted> {
        let spares = &self.shared.spares;
        // Not for each of its thousands of steps.
        let path = || spares.dir.spare(number);
        if spares.state.lock().stopping {
            spares.dir.disk.remove(&path())?;
            return Ok(Acted::Done);
        }
        if let Err(error) = filled.fill_step() {
            let _ = spares.dir.disk.remove(&path());
            return Err(error);
        }
        if !filled.is_full() {
            self.making = Some((number, filled));
            return Ok(spares.pace());
        }
        spares.dir.sync()?;
        let file = spares.dir.disk.open(&path())?;
        spares.add_ready(&mut spares.state.lock(), number, file);
        Ok(Acted::Done)
    }
}

impl Actor for Maker {
    /// An error other than a full disk only costs speed here: the writer meets it where it matters.
    fn act(&mut self, _: Instant) -> Acted {
        let done = self.step();
        let spares = &self.shared.spares;
        match done {
            Ok(acted) => {
                self.has_warned = spares.left_when_full().is_some();
                acted
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(%error, "the log cannot make room ahead");
                }
                if super::is_full(&error) {
                    spares.starved.store(true, Ordering::Release);
                }
                match spares.state.lock().stopping {
                    true => Acted::Ended,
                    false => Acted::Rests(Some(RETRY)),
                }
            }
        }
    }

    fn rest(&mut self, most: Option<Duration>) {
        let spares = &self.shared.spares;
        let mut state = spares.state.lock();
        match most {
            _ if state.stopping => {}
            Some(most) => drop(spares.changed.wait_for(&mut state, most)),
            None if spares.has_work(&state) => {}
            None => spares.changed.wait(&mut state),
        }
    }
}
