//! Space: what lives of a segment that holds little else is copied to the *cold chain*, and the segment is used again.
//!
//! One message that nobody settles would hold 64 MiB, and a message of 100 bytes that is alone in its frame a block of
//! 4 KiB. So segments whose live records take less than half of a segment are copied forward, cold ones as well,
//! while the log takes more room than what lives explains. A copy keeps its number; its frames hold records of one
//! source, ascending. The source goes when its copy is synced and every end of a record in it is durable. A crash in
//! between leaves both: a main segment counts more than a copy, and a later copy more than an earlier one.
//!
//! Everything is done in steps of a bounded size.

mod choose;
mod find;
mod job;
mod rows;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::core::log::read::ReadError;
use crate::core::model::time::CoreTime;

use crate::store::journal::Moment;

use super::active::Active;
use super::active::bytes_of;
use super::crew::Acted;
use super::crew::Actor;
use super::segment::SegmentId;
use super::shared::Shared;

use choose::Measured;
use choose::Usage;
use job::Job;
use rows::Rows;

pub(super) use find::UNSURE;
pub(super) use find::find;
pub(super) use find::records;

/// How soon something is looked at again that was not worth it.
const LOOK: Duration = Duration::from_secs(1);
/// How soon a disk that refused is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Copying takes one part in five of the disk's time, unless the log takes too much room.
const PACE: u32 = 4;

/// Copies forward.
pub(super) struct Forward {
    shared: Arc<Shared>,
    /// The cold segment that is written.
    active: Option<Active>,
    next_id: u64,
    /// The first one that this start made.
    first_own: u64,
    /// CRC of the chain's last frame.
    crc: u32,
    /// Cold segments, the active one included; those that nothing needs since some moment wait for that to be sure.
    segments: BTreeMap<u64, Option<Moment>>,
    measured: BTreeMap<SegmentId, Measured>,
    usage: Usage,
    /// Cold segments with frames that were put together from several: what is left of padding there cannot be helped.
    dense: BTreeSet<u64>,
    rows: Rows,
    job: Option<Job>,
    /// When a step began that took the disk's time, of which others are to have their part before the next.
    copied: Option<Instant>,
    is_new: bool,
    has_warned: bool,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Something; the next one may come at once.
    Done,
    /// Something was read or written; the next one may come after several times as long as it took.
    Copied,
    /// There is nothing to do for now.
    Idle,
}

impl Actor for Forward {
    fn act(&mut self, now: Instant) -> Acted {
        if self.shared.forward.has_stopped() {
            return Acted::Ended;
        }
        if std::mem::take(&mut self.is_new) {
            // A start has better things to do.
            return Acted::Rests(Some(LOOK));
        }
        if let Some(since) = self.copied.take() {
            return Acted::Rests(Some(now.saturating_duration_since(since) * PACE));
        }
        match self.step(now) {
            Ok(Step::Idle) => Acted::Rests(Some(LOOK)),
            Ok(step) => {
                self.has_warned = false;
                self.copied = (step == Step::Copied).then_some(now);
                Acted::Done
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!(%error, "what lives cannot be copied forward: the log takes more room than it has to");
                }
                Acted::Rests(Some(RETRY))
            }
        }
    }

    fn rest(&mut self, most: Option<Duration>) {
        self.shared.forward.wait(most);
    }
}

impl Forward {
    /// Goes on where a start found the cold chain: with these segments.
    pub(super) fn new(shared: Arc<Shared>, segments: &[u64]) -> Self {
        let first_own = segments.last().map_or(1, |last| last + 1);
        Self {
            shared,
            active: None,
            next_id: first_own,
            first_own,
            crc: 0,
            segments: segments.iter().map(|id| (*id, None)).collect(),
            measured: BTreeMap::new(),
            usage: Usage::default(),
            dense: BTreeSet::new(),
            rows: Rows::default(),
            job: None,
            copied: None,
            is_new: true,
            has_warned: false,
        }
    }

    /// Does a bounded piece of what there is to do.
    ///
    /// # Errors
    /// What the disk says. Nothing is lost: what was being copied stays where it is.
    pub(super) fn step(&mut self, now: Instant) -> io::Result<Step> {
        if self.shared.is_closed() {
            return Ok(Step::Idle);
        }
        if let Some(job) = self.job.take() {
            let done = self.go_on(job);
            if done.is_err() {
                // Nobody knows what is on disk of it now; what was synced of it is only read.
                self.active = None;
            }
            return done;
        }
        if self.retire() {
            return Ok(Step::Done);
        }
        let Some(source) = self.choose(now) else {
            return Ok(Step::Idle);
        };
        self.job = Some(Job::new(&self.shared, source));
        Ok(Step::Done)
    }

    /// Measures or copies a piece of a source.
    fn go_on(&mut self, mut job: Job) -> io::Result<Step> {
        if !job.is_measured() {
            match job.measure() {
                job::Went::On => self.job = Some(job),
                job::Went::Failed(error) => self.give_up(&job, error)?,
                job::Went::Through if self.is_worth_it(&job) => self.job = Some(job),
                job::Went::Through => {}
            }
            return Ok(Step::Done);
        }
        match job.next_frame(&self.shared) {
            job::Next::Frame(frame) => {
                self.write(&mut job, frame)?;
                self.job = Some(job);
            }
            job::Next::Failed(error) => self.give_up(&job, error)?,
            job::Next::Through => self.finish(&job)?,
        }
        Ok(if self.is_above_floor() {
            Step::Done
        } else {
            Step::Copied
        })
    }

    /// Writes a frame of copies.
    fn write(&mut self, job: &mut Job, frame: job::Frame) -> io::Result<()> {
        let job::Frame {
            version,
            mut bytes,
            first,
            last,
            count,
            queues,
        } = frame;
        let must_roll = |active: &Active| active.must_roll(bytes.len(), self.shared.segment_bytes);
        if let Some(mut active) = self.active.take_if(|active| must_roll(active)) {
            // What was copied there is for good before the segment is left.
            self.crc = active.seal(0)?;
        }
        if self.active.is_none() {
            self.active = Some(self.begin(first)?);
        }
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let start = active.offset();
        let records = bytes.len() - super::frame::FRAME_HEADER_BYTES;
        // In place of a time the header has the last number, so that a start need not read what it only places.
        let last_number = CoreTime::from_ms(last);
        active.write_as(version, &mut bytes, first, count, last_number)?;
        self.shared
            .metrics
            .log_copied_bytes
            .inc_by(bytes_of(bytes.len()));
        self.rows.add(active.header.id, first, last, &queues);
        if let SegmentId::Cold(_) = job.source {
            self.dense.insert(active.header.id);
        }
        job.wrote(super::places::ColdFrame {
            first,
            last,
            segment: active.header.id,
            salt: active.header.salt,
            start,
            end: active.offset(),
            count: u32::try_from(count).unwrap_or(u32::MAX),
            bytes: u32::try_from(records).unwrap_or(u32::MAX),
        });
        Ok(())
    }

    /// Begins a cold segment.
    fn begin(&mut self, first: u64) -> io::Result<Active> {
        let id = SegmentId::Cold(self.next_id);
        self.next_id += 1;
        let begun = Active::begin(&self.shared, id, first, self.crc, 0);
        match &begun {
            Ok(active) => {
                self.segments.insert(active.header.id, None);
                self.show_segments();
            }
            Err(_) => {
                // It may be there in part, and nothing of it is needed. Where the disk is full, that is room.
                let _ = self.shared.dir.disk.remove(&self.shared.dir.path_of(id));
            }
        }
        begun
    }

    /// Everything that lived was copied: makes that last, and then lets the source go.
    fn finish(&mut self, job: &Job) -> io::Result<()> {
        if let Some(active) = &self.active {
            active.file.sync()?;
        }
        self.shared.places.add_cold(job.frames());
        let active = self.active.as_ref().map(|active| active.header.id);
        self.rows.tell(active, &mut self.shared.log.lock().journal);
        match job.source {
            SegmentId::Main(id) => {
                let must_kick = {
                    let mut log = self.shared.log.lock();
                    log.journal.copied(id);
                    log.must_kick()
                };
                if must_kick {
                    self.shared.kick.notify_one();
                }
            }
            SegmentId::Cold(id) => {
                self.segments.insert(id, Some(job.begun));
            }
        }
        self.measured.remove(&job.source);
        Ok(())
    }

    /// A source that is damaged stays what it is; one that the disk does not give is tried again.
    fn give_up(&mut self, job: &Job, error: ReadError) -> io::Result<()> {
        if error == ReadError::Io {
            return Err(io::Error::other(error));
        }
        tracing::warn!(
            file = %self.shared.dir.path_of(job.source).display(),
            "a segment with something damaged in it is not copied forward"
        );
        self.measured.insert(job.source, Measured::damaged());
        Ok(())
    }

    fn show_segments(&self) {
        let segments = bytes_of(self.segments.len());
        self.shared.cold_segments.store(segments, Ordering::Relaxed);
    }

    /// Lets a cold segment go that nothing needs.
    fn retire(&mut self) -> bool {
        let log = self.shared.log.lock();
        let is_sure = |moment: &Option<Moment>| moment.is_some_and(|m| log.journal.is_sure(m));
        // What a start found stays with the rest of it while something cannot be read.
        let from = match log.journal.is_held() {
            true => self.first_own,
            false => 0,
        };
        let mut candidates = self.segments.range(from..);
        let sure = candidates.find(|(_, moment)| is_sure(moment));
        let sure = sure.map(|(id, _)| *id);
        drop(log);
        let Some(id) = sure else {
            return false;
        };
        self.segments.remove(&id);
        self.dense.remove(&id);
        self.shared.log.lock().journal.forget_cold(id);
        self.show_segments();
        self.measured.remove(&SegmentId::Cold(id));
        self.shared.recycle(SegmentId::Cold(id));
        true
    }
}

#[cfg(test)]
mod tests;
