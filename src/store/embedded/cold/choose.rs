//! Which segment is copied forward next, if any.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::store::journal::Span;

use super::super::places::ColdFrame;
use super::super::segment::SegmentId;
use super::Forward;
use super::job::Job;

/// The newest segments of the main chain are left alone: most of what is in them is settled soon.
const NEWEST: usize = 4;
/// A segment whose living records change is left alone for so long after each change …
const CALM: Duration = Duration::from_secs(1);
/// … and for so long in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Frames that are looked at with the log's lock held: nobody who publishes is to notice.
const AT_ONCE: usize = 256;
/// Segments that the log may take beside one and a half times what lives before anything is copied: 256 MiB.
const SLACK: u64 = 4;
/// Segments that it may take beside two and a half times what lives: 512 MiB. Above this copying does not pace itself.
const FLOOR: u64 = 8;

/// What was found out about a segment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// Records that lived when they were measured, and their bytes.
    exact: Option<(u64, u64)>,
    is_damaged: bool,
    /// Records that lived when it was last looked at, since when, and when it was first looked at.
    live: u64,
    since: Option<Instant>,
    first: Option<Instant>,
}

/// Room that the log takes, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Bytes of files.
    pub(super) disk: u64,
    /// Bytes of records.
    pub(super) records: u64,
    /// Bytes of records that live.
    pub(super) live: u64,
}

/// A segment that may be copied.
struct Candidate {
    id: SegmentId,
    live: u64,
}

impl Measured {
    const NOTHING: Self = Self {
        exact: None,
        is_damaged: false,
        live: u64::MAX,
        since: None,
        first: None,
    };

    /// A segment that cannot be read.
    pub(super) fn damaged() -> Self {
        Self {
            is_damaged: true,
            ..Self::NOTHING
        }
    }

    /// Bytes of `live` records of a segment that has `records` in `bytes`.
    fn estimate(&self, live: u64, records: u64, bytes: u64) -> u64 {
        let (live_then, bytes_then) = self.exact.unwrap_or((records, bytes));
        let share = u128::from(bytes_then) * u128::from(live) / u128::from(live_then.max(1));
        u64::try_from(share).unwrap_or(u64::MAX).min(bytes)
    }

    /// Notes how many records live, and says whether that has been so for long enough.
    fn is_calm(&mut self, live: u64, now: Instant) -> bool {
        let first = *self.first.get_or_insert(now);
        if self.live != live {
            self.live = live;
            self.since = Some(now);
        }
        let calm = self
            .since
            .is_some_and(|since| now.saturating_duration_since(since) >= CALM);
        calm || now.saturating_duration_since(first) >= PATIENCE
    }

    /// Whether it was measured, found too full, and has not changed much since.
    fn is_too_full(&self, live: u64, half: u64) -> bool {
        self.exact
            .is_some_and(|(then, bytes)| bytes >= half && live > then - (then / 8).max(1))
    }
}

impl Forward {
    /// The next segment that gives more room back than its copies take.
    pub(super) fn choose(&mut self, now: Instant) -> Option<SegmentId> {
        let cold = self.shared.places.cold();
        let cold_live = self.live_in(&cold);
        let spans = self.shared.log.lock().journal.spans();
        let mut usage = Usage {
            disk: self.shared.log_bytes(super::bytes_of(spans.len())),
            ..Usage::default()
        };
        let mut candidates = self.main(&spans, &mut usage);
        self.cold(&cold, &cold_live, &mut usage, &mut candidates);
        self.show(usage);
        let half = self.shared.segment_bytes / 2;
        let is_too_much =
            usage.disk > usage.live.saturating_mul(3) / 2 + SLACK * self.shared.segment_bytes;
        candidates.retain(|candidate| {
            let measured = self
                .measured
                .entry(candidate.id)
                .or_insert(Measured::NOTHING);
            let is_calm = measured.is_calm(candidate.live, now);
            is_calm && !measured.is_damaged && !measured.is_too_full(candidate.live, half)
        });
        // In the order of the log: what stands side by side in the cold chain can be put together later.
        candidates.sort_by_key(|candidate| candidate.id);
        candidates
            .first()
            .filter(|_| is_too_much)
            .map(|first| first.id)
    }

    /// Whether a source that was just measured holds little enough.
    pub(super) fn is_worth_it(&mut self, job: &Job) -> bool {
        let measured = self.measured.entry(job.source).or_insert(Measured::NOTHING);
        measured.exact = Some((job.len(), job.bytes()));
        job.bytes() < self.shared.segment_bytes / 2
    }

    /// Whether the log takes more room than it may.
    pub(super) fn is_above_floor(&self) -> bool {
        let allowed = self.usage.live.saturating_mul(5) / 2;
        self.usage.disk > allowed + FLOOR * self.shared.segment_bytes
    }

    /// How many records live in each of these frames.
    fn live_in(&self, frames: &[ColdFrame]) -> Vec<u64> {
        let mut live = Vec::with_capacity(frames.len());
        for some in frames.chunks(AT_ONCE) {
            let log = self.shared.log.lock();
            let count = |frame: &ColdFrame| log.journal.count_live(frame.first, frame.last);
            live.extend(some.iter().map(count));
        }
        live
    }

    fn main(&mut self, spans: &[Span], usage: &mut Usage) -> Vec<Candidate> {
        let bytes = self.shared.places.main_bytes();
        let is_there = |id: &SegmentId| match id {
            SegmentId::Main(id) => bytes.contains_key(id),
            SegmentId::Cold(_) => true,
        };
        self.measured.retain(|id, _| is_there(id));
        let mut candidates = Vec::new();
        let old = spans.len().saturating_sub(NEWEST);
        for (at, span) in spans.iter().enumerate() {
            let records = bytes.get(&span.id).copied().unwrap_or(0);
            usage.records += records;
            if span.is_copied {
                continue;
            }
            let id = SegmentId::Main(span.id);
            let measured = self.measured.get(&id).unwrap_or(&Measured::NOTHING);
            let live = measured.estimate(span.live, span.last + 1 - span.first, records);
            usage.live += live;
            if at < old && span.live > 0 {
                candidates.push(Candidate {
                    id,
                    live: span.live,
                });
            }
        }
        candidates
    }

    /// Looks at the cold segments, and lets those go in which nothing lives.
    fn cold(
        &mut self,
        frames: &[ColdFrame],
        live: &[u64],
        usage: &mut Usage,
        candidates: &mut Vec<Candidate>,
    ) {
        let mut found: BTreeMap<u64, (u64, u64, u64, u64)> = BTreeMap::new();
        for (frame, live) in frames.iter().zip(live) {
            let (all, all_live, bytes, end) = found.entry(frame.segment).or_default();
            *all += u64::from(frame.count);
            *all_live += live;
            *bytes += u64::from(frame.bytes);
            *end = frame.end.max(*end);
        }
        let may_be_padded = |segment: &u64| !self.dense.contains(segment);
        let moment = self.shared.log.lock().journal.moment();
        let half = self.shared.segment_bytes / 2;
        let active = self.active.as_ref().map(|active| active.header.id);
        for (segment, goes) in &mut self.segments {
            let (all, live, bytes, end) = found.get(segment).copied().unwrap_or_default();
            usage.records += bytes;
            let id = SegmentId::Cold(*segment);
            let measured = self.measured.get(&id).unwrap_or(&Measured::NOTHING);
            let live_bytes = measured.estimate(live, all, bytes);
            usage.live += live_bytes;
            if active == Some(*segment) || goes.is_some() {
                continue;
            }
            if live == 0 {
                *goes = Some(moment);
            } else if live <= all - all / 4
                || end < half
                || (bytes < end / 2 && may_be_padded(segment))
            {
                // Copying what lives as it did when it was copied would only go round in circles.
                candidates.push(Candidate { id, live });
            }
        }
    }

    fn show(&mut self, usage: Usage) {
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let metrics = &self.shared.metrics;
        metrics.log_live_bytes.set(gauge(usage.live));
        let dead = usage.records.saturating_sub(usage.live);
        metrics.log_dead_bytes.set(gauge(dead));
        self.usage = usage;
    }
}
