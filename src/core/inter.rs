//! Laying a dead letter into its targets: one record settles the source and makes the entries.

use std::borrow::Cow;
use std::sync::Arc;

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use crate::core::Core;
use crate::core::bury::Work;
use crate::core::catalog;
use crate::core::error::CoreError;
use crate::core::log::record::EntryFields;
use crate::core::log::record::MoreEntryFields;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::overlay::Cause;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Doomed;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Extra;
use crate::core::queue::settings::Overflow;
use crate::core::queue::state::QueueState;
use crate::core::record_of::body_chunks;
use crate::core::record_of::chunks_of;
use crate::core::record_of::message_fields;
use crate::core::telemetry_of::dead_letter_cause;
use crate::core::topology::Route;

/// A dead letter and where it goes.
pub(in crate::core) struct Burial<'a> {
    pub(in crate::core) message: &'a Message,
    pub(in crate::core) overlay: Arc<Overlay>,
    pub(in crate::core) cause: Cause,
    pub(in crate::core) route: Route,
    /// The entry that it leaves; none for a message that its queue never let in.
    pub(in crate::core) source: Option<(&'a Arc<Queue>, &'a Doomed)>,
}

/// What became of a burial.
pub(in crate::core) enum Buried {
    /// It is there, or was gone already.
    Moved,
    /// A target refused it, or the disk is full.
    Refused,
}

type Guards<'a> = SmallVec<[(&'a Arc<Queue>, MutexGuard<'a, QueueState>); 4]>;

impl Burial<'_> {
    fn is_source(&self, queue: &Queue) -> bool {
        self.source
            .is_some_and(|(source, _)| source.id() == queue.id())
    }

    fn is_target(&self, queue: &Queue) -> bool {
        let targets = self.route.queues();
        targets.iter().any(|target| target.id() == queue.id())
    }

    /// Source and targets, locked in the order of their ids.
    fn lock(&self) -> Guards<'_> {
        let mut queues: SmallVec<[&Arc<Queue>; 4]> = self.route.queues().iter().collect();
        queues.extend(self.source.map(|(queue, _)| queue));
        queues.sort_by_key(|queue| queue.id());
        queues.dedup_by_key(|queue| queue.id());
        queues
            .into_iter()
            .map(|queue| (queue, queue.lock()))
            .collect()
    }

    /// Whether the entry has left its queue meanwhile: purged, deleted by its name, or with the queue.
    fn is_void(&self, guards: &Guards<'_>) -> bool {
        let Some((_, doomed)) = self.source else {
            return false;
        };
        let source = guards.iter().find(|(queue, _)| self.is_source(queue));
        source.is_none_or(|(_, state)| state.is_deleted() || !state.is_moving(doomed.seq))
    }

    fn is_refused(&self, guards: &Guards<'_>) -> bool {
        let bytes = self.message.body_len() as u64;
        let mut targets = guards.iter().filter(|(queue, _)| self.is_target(queue));
        targets.any(|(_, state)| {
            let refuses = state.settings().overflow != Overflow::DropOldest;
            let has_no_room = refuses && !state.is_deleted() && !state.has_room(0, 0, bytes);
            has_no_room || state.quarantined().is_some()
        })
    }

    /// The entries that it makes, and whether each is in the log.
    fn entries(&self, guards: &Guards<'_>, now: CoreTime) -> Vec<(EntryFields, bool)> {
        let targets = guards
            .iter()
            .filter(|(queue, state)| self.is_target(queue) && !state.is_deleted());
        targets
            .map(|(queue, state)| self.entry_for(queue, state, now))
            .collect()
    }

    fn entry_for(&self, queue: &Queue, state: &QueueState, now: CoreTime) -> (EntryFields, bool) {
        let settings = state.settings();
        let in_log = self
            .source
            .is_some_and(|(_, doomed)| doomed.reference.is_some());
        let is_durable =
            settings.durable && (in_log || self.message.is_durable() || settings.force_durable);
        let expiry_ms = state.expiry_of(self.message, self.overlay.without_expiration, now);
        let more = MoreEntryFields {
            overlay: catalog::json(&*self.overlay),
            ..MoreEntryFields::default()
        };
        let expiry = (expiry_ms != 0).then(|| CoreTime::from_ms(expiry_ms));
        let fields = EntryFields {
            queue: queue.id(),
            expiry,
            not_before: (settings.delay_ms != 0).then(|| now + settings.delay_ms),
            priority: 0,
            is_retention: state.is_retention(self.message, expiry),
            more: Some(Box::new(more)),
        };
        (fields, is_durable)
    }
}

impl Core {
    /// Makes the entries in the targets and takes the source out.
    pub(in crate::core) fn inter(
        &self,
        burial: &Burial<'_>,
        now: CoreTime,
        work: &mut Work,
    ) -> Result<Buried, CoreError> {
        let mut guards = burial.lock();
        if burial.is_void(&guards) {
            return Ok(Buried::Moved);
        }
        if burial.is_refused(&guards) {
            return Ok(Buried::Refused);
        }
        let entries = burial.entries(&guards, now);
        let lsn = match self.log_burial(burial, &entries, now) {
            Ok(lsn) => lsn,
            // The mover waits, as it does for a full queue.
            Err(AppendError::Full | AppendError::Busy) => return Ok(Buried::Refused),
            Err(AppendError::Failed) => return Err(CoreError::LogFailed),
        };
        let mut left: SmallVec<[(Arc<Queue>, Effects); 4]> = SmallVec::new();
        for (queue, state) in &mut guards {
            let mut effects = Effects::default();
            if let Some((_, doomed)) = burial.source.filter(|_| burial.is_source(queue)) {
                state.take_out(doomed.seq);
            }
            let made = entries
                .iter()
                .find(|(fields, _)| fields.queue == queue.id());
            if let Some((fields, is_durable)) = made {
                let lsn = lsn.filter(|_| *is_durable);
                let entry = state.entry(burial.message.clone(), lsn, fields.expiry);
                let extra = Extra {
                    overlay: Some(Arc::clone(&burial.overlay)),
                    first_received: None,
                };
                state.push(entry, extra, fields.not_before, now);
            }
            state.after_push(now, &mut effects);
            self.make_room(queue, state);
            self.log_effects(queue, state, &mut effects, now)?;
            left.push((Arc::clone(queue), effects));
        }
        drop(guards);
        let cause = dead_letter_cause(burial.cause);
        self.inner.metrics.dead_lettered.of(cause).inc();
        for (queue, effects) in left {
            self.finish(&queue, effects, work);
        }
        Ok(Buried::Moved)
    }

    fn log_burial(
        &self,
        burial: &Burial<'_>,
        entries: &[(EntryFields, bool)],
        now: CoreTime,
    ) -> Result<Option<Lsn>, AppendError> {
        let durable = entries.iter().filter(|(_, is_durable)| *is_durable);
        let durable: Vec<EntryFields> = durable.map(|(fields, _)| fields.clone()).collect();
        let source = burial
            .source
            .and_then(|(queue, doomed)| Some((queue, doomed.reference?)));
        let Some((queue, entry)) = source else {
            return self.log_letter(burial, durable, now);
        };
        let record = Record::Move(Move {
            source: queue.id(),
            entry,
            cause: burial.cause.settle_kind(),
            targets: Cow::Owned(durable),
            body_bytes: burial.message.body_len() as u64,
            enqueued_at: burial.message.enqueued_at(),
        });
        let mut records = std::iter::once(record);
        Ok(Some(self.inner.store.append(
            queue.shard(),
            now,
            true,
            &mut records,
        )?))
    }

    /// A message that the log does not have yet is published to its targets.
    fn log_letter(
        &self,
        burial: &Burial<'_>,
        durable: Vec<EntryFields>,
        now: CoreTime,
    ) -> Result<Option<Lsn>, AppendError> {
        let message = burial.message;
        let shard = burial.route.queues().first().map(|queue| queue.shard());
        let Some(shard) = shard.filter(|_| !durable.is_empty()) else {
            message.set_transient_id(self.next_transient());
            return Ok(None);
        };
        let references = u32::try_from(durable.len()).unwrap_or(u32::MAX);
        let chunks = chunks_of(message);
        let parts: Vec<&[u8]> = message.body().filter(|_| chunks == 0).collect();
        let publish = Publish {
            message: message_fields(message, &parts),
            entries: Cow::Owned(durable),
            elidable: true,
        };
        let body = body_chunks(message).map(|bytes| Record::Chunk { references, bytes });
        let mut records = body.chain(std::iter::once(Record::Publish(publish)));
        let first = self.inner.store.append(shard, now, false, &mut records)?;
        let lsn = first.plus(u64::from(chunks));
        message.set_lsn(lsn);
        Ok(Some(lsn))
    }
}
