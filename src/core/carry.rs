//! What an operation on a queue leaves: records under its lock, everything else without it.

use std::borrow::Cow;
use std::sync::Arc;

use crate::core::Core;
use crate::core::bury::Work;
use crate::core::error::CoreError;
use crate::core::log::record::Holder;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::AppendError;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Effects;
use crate::core::queue::state::QueueState;
use crate::core::telemetry_of::drop_reason;

/// How long settles that found the disk full wait until they are tried again.
const RETRY_MS: u64 = 1000;

/// What was logged.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::core) struct Logged {
    /// The last record.
    pub(in crate::core) lsn: Option<Lsn>,
    /// The last record of this or an earlier operation on the queue: what a repeated request waits for,
    /// when what it asks for has happened already.
    pub(in crate::core) covering: Option<Lsn>,
    /// The disk is full: settles wait in the queue, grants and counters are forgotten.
    pub(in crate::core) is_deferred: bool,
}

impl Core {
    /// Runs an operation on a queue, and does what it leaves.
    ///
    /// Its records are appended under the lock: what happens to an entry is in the log in the order in
    /// which it happened.
    pub(in crate::core) fn on_queue<R>(
        &self,
        queue: &Arc<Queue>,
        now: CoreTime,
        operation: impl FnOnce(&mut QueueState, &mut Effects) -> R,
    ) -> Result<(R, Logged), CoreError> {
        let mut work = Work::new();
        let done = self.on_queue_into(queue, now, &mut work, operation)?;
        self.bury_all(work, now)?;
        Ok(done)
    }

    /// As [`Core::on_queue`], but leaves dead letters to the caller: one may push out the next, and a
    /// chain of full queues must not become a chain of calls.
    pub(in crate::core) fn on_queue_into<R>(
        &self,
        queue: &Arc<Queue>,
        now: CoreTime,
        work: &mut Work,
        operation: impl FnOnce(&mut QueueState, &mut Effects) -> R,
    ) -> Result<(R, Logged), CoreError> {
        let mut effects = Effects::default();
        let (result, logged) = {
            let mut state = queue.lock();
            let result = operation(&mut state, &mut effects);
            (
                result,
                self.log_effects(queue, &mut state, &mut effects, now)?,
            )
        };
        self.finish(queue, effects, work);
        Ok((result, logged))
    }

    /// What can be done without the queue's lock: timer, wakes, counts; dead letters go to `work`.
    pub(in crate::core) fn finish(
        &self,
        queue: &Arc<Queue>,
        mut effects: Effects,
        work: &mut Work,
    ) {
        for &(kind, n) in &effects.dropped {
            self.count_drop(kind, n);
        }
        if let Some(due) = effects.due {
            self.inner.timers.set(queue, due);
        }
        self.inner.metrics.wakes.inc_by(effects.wakes.len() as u64);
        effects.wake();
        if let Some(why) = effects.fault.take() {
            self.inner.quarantine.put_for_message(queue, &why);
        }
        if !effects.reaped.is_empty() {
            let reaped = std::mem::take(&mut effects.reaped);
            self.inner.reaper.add(queue.id(), queue.shard(), reaped);
        }
        let doomed = effects.doomed.into_iter();
        work.extend(doomed.map(|doomed| (Arc::clone(queue), doomed)));
    }

    pub(in crate::core) fn count_drop(&self, kind: SettleKind, n: u64) {
        if let Some(reason) = drop_reason(kind) {
            self.inner.metrics.dropped.of(reason).inc_by(n);
        }
    }

    /// Appends the records of an operation.
    ///
    /// A full disk undoes nothing: settles wait in the queue until there is room, and what is lazy
    /// anyway is left out.
    pub(in crate::core) fn log_effects(
        &self,
        queue: &Arc<Queue>,
        state: &mut QueueState,
        effects: &mut Effects,
        now: CoreTime,
    ) -> Result<Logged, CoreError> {
        self.page(queue, state, effects, now);
        if !state.unlogged_ranges.is_empty() {
            let later = std::mem::take(&mut effects.purged);
            effects.purged = std::mem::take(&mut state.unlogged_ranges);
            effects.purged.extend(later);
        }
        if !state.unlogged.is_empty() {
            let mut settled = std::mem::take(&mut state.unlogged);
            settled.append(&effects.settled);
            effects.settled = settled;
        }
        if effects.has_no_records() {
            return Ok(Logged {
                covering: state.last_record,
                ..Logged::default()
            });
        }
        match self.append_effects(queue, effects, now) {
            Ok(lsn) => {
                state.last_record = Some(lsn);
                Ok(Logged {
                    lsn: Some(lsn),
                    covering: Some(lsn),
                    is_deferred: false,
                })
            }
            Err(AppendError::Failed) => Err(CoreError::LogFailed),
            Err(AppendError::Full | AppendError::Busy) => {
                state.defer(
                    std::mem::take(&mut effects.settled),
                    std::mem::take(&mut effects.purged),
                    now + RETRY_MS,
                    effects,
                );
                Ok(Logged {
                    is_deferred: true,
                    ..Logged::default()
                })
            }
        }
    }

    fn append_effects(
        &self,
        queue: &Queue,
        effects: &Effects,
        now: CoreTime,
    ) -> Result<Lsn, AppendError> {
        let id = queue.id();
        let settles = effects.settled.iter();
        let settles = settles.map(|(outcome, entries)| Record::Settle {
            queue: id,
            outcome,
            entries: Cow::Borrowed(entries),
        });
        let purged = effects.purged.iter();
        let purged = purged.map(|&(from, upto)| Record::PurgeRange {
            queue: id,
            from: Some(from),
            upto,
        });
        let granted = effects.granted.iter();
        let granted = granted.map(|(until, entries)| Record::Grant {
            queue: id,
            holder: Holder::Nobody,
            until,
            entries: Cow::Borrowed(entries),
        });
        let counters = effects.counted.iter().map(|counted| Record::Counters {
            queue: id,
            entry: counted.entry,
            acquired: counted.acquired,
            failed: counted.failed,
        });
        let mut number = 0;
        let records = settles.chain(purged).chain(granted).chain(counters);
        let mut records = records.inspect(|_| number += 1);
        let first = self
            .inner
            .store
            .append(queue.shard(), now, true, &mut records)?;
        drop(records);
        Ok(first.plus(number - 1))
    }
}
