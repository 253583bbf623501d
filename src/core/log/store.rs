//! What core asks of a store (SEMANTICS §14). One contract suite holds every implementation to it:
//! `store::contract`.
//!
//! Stream segments and fencing join this trait with the features that need them;
//! nothing here assumes that a store is local.

use std::sync::Arc;

use crate::core::log::bodies::Bodies;
use crate::core::log::read::Reader;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

pub use crate::core::log::watermark::Waiter;
pub use crate::core::log::watermark::Watermark;

/// What a store can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Number of shards, 1 to 255. A shard has an order, a watermark and a failure of its own.
    pub shards: u8,
    /// Most bytes that one commit holds: a longer append spans several, in order.
    pub frame_max_bytes: usize,
}

/// Whoever has to know that a part of the log is damaged, though it was written and is being served.
pub trait DamageObserver: Send + Sync {
    /// These records cannot be read, and one of them lives. [`Hole::queues`] is none if nobody knows which queues they
    /// name. Called from any thread of the store, or of its caller's, without locks; may be called for one part
    /// several times.
    fn damaged(&self, hole: &Hole);
}

/// Why an append was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Too much waits to be written. Nothing was taken; append again when the watermark has moved.
    #[error("the log has too much to write")]
    Busy,
    /// The disk is full, or its floor is reached. Settling is still possible.
    #[error("no space left for the log")]
    Full,
    /// The log has failed and takes nothing more.
    #[error("the log has failed")]
    Failed,
}

/// Why a store cannot be opened, read or checkpointed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the data dir.
    #[error("data dir {path} is in use by another process")]
    Locked {
        /// The data dir.
        path: String,
    },
    /// A later version wrote it.
    #[error("data dir {path} has format {found}, this version reads up to {known}")]
    NewerFormat {
        /// The data dir.
        path: String,
        /// Its format.
        found: u32,
        /// The newest that this version reads.
        known: u32,
    },
    /// The system refused.
    #[error("{action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// What is on disk cannot be what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// What a replay found at the end of a shard's log, and what it could not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// The last record, none in an empty log.
    pub last: Option<Lsn>,
    /// The latest core time in the log.
    pub latest: CoreTime,
    /// Whether the last thing written was a clean stop.
    pub clean_stop: bool,
    /// Parts of the log that are damaged or gone, and that something which lives may have been in.
    pub holes: Vec<Hole>,
}

/// Records that were written and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The file that they are in, or would be.
    pub path: String,
    /// What is wrong there, and where in the file.
    pub what: String,
    /// The first record that is missing.
    pub first: Lsn,
    /// The last one.
    pub last: Lsn,
    /// Queues that one of them may name; none: any queue that existed.
    pub queues: Option<Vec<QueueId>>,
}

/// Who is told what a shard's log says, in this order: catalog changes, once [`Visitor::entries`], then entries.
pub trait Visitor {
    /// A catalog change that the checkpoint ([`Store::load`]) has not absorbed, in log order.
    fn catalog(&mut self, lsn: Lsn, key: &str, value: Option<&[u8]>);

    /// Every catalog change was told; this is the end of the log. Entries follow.
    fn entries(&mut self, scanned: &Scanned);

    /// A live entry, in LSN order. False: nobody has a place for it, so its reference ends.
    fn entry(&mut self, entry: LiveEntry<'_>) -> bool;
}

/// What the log knows of an entry when everything was replayed. Its message is read when it is needed.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveEntry<'a> {
    /// The record that put it into its queue.
    pub entry: Lsn,
    /// The publish of its message.
    pub message: Lsn,
    /// Chunk records right before the publish that the body is in.
    pub chunks: u32,
    /// Length of the body.
    pub body_bytes: u64,
    /// When the message was enqueued.
    pub enqueued_at: CoreTime,
    /// What the publish or the move says; the counters below are newer.
    pub fields: &'a EntryFields,
    /// Times leased, saturating.
    pub acquired: u16,
    /// Counted releases, saturating.
    pub failed: u16,
    /// Deadline of a lease that nobody has given up.
    pub until: Option<CoreTime>,
    /// Whether the counters were logged after the entry was, so that somebody may still name a lease of it.
    pub is_counted: bool,
}

/// References that ended without a record that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dead {
    /// The queue that the entry was in.
    pub queue: QueueId,
    /// The entry.
    pub entry: EntryRef,
}

/// How much room the log takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the files that hold records, spare ones included.
    pub log_bytes: u64,
    /// Number of segments with records.
    pub segments: u64,
    /// References that hold a segment.
    pub references: u64,
    /// Bytes that wait to be written.
    pub pending_bytes: u64,
    /// Bytes of the files that hold what was put aside, unused parts included.
    pub spill_bytes: u64,
    /// Bytes that were put aside and are still in memory: the disk does not have them yet, or is full.
    pub spill_pending_bytes: u64,
}

/// A durable, ordered log with a catalog's checkpoint beside it.
///
/// Every method may be called from any thread, does no waiting of its own on the caller's thread beyond
/// a short lock (except [`Store::load`], [`Store::recover`], [`Store::checkpoint`] and [`Store::close`], which do
/// IO), and may be called with queue locks held: lock order is queue → log.
pub trait Store: Send + Sync {
    /// What this store can do; constant.
    fn capabilities(&self) -> Capabilities;

    /// Who this store is; constant for one start.
    fn identity(&self) -> Identity;

    /// Hands over every key and value of the shard's newest catalog checkpoint, in any order, and says up
    /// to which LSN it absorbed [`Record::Catalog`]s. None: there is no checkpoint.
    ///
    /// # Errors
    /// [`StoreError`] when the checkpoint cannot be read.
    fn load(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<Option<Lsn>, StoreError>;

    /// Tells what the log says, once, before the first append. Damage that leaves the rest readable is no error but
    /// a hole ([`Scanned::holes`]).
    ///
    /// # Errors
    /// [`StoreError`] when nothing can be read.
    fn recover(&self, shard: Shard, visitor: &mut dyn Visitor) -> Result<Scanned, StoreError>;

    /// Appends records in order and at once: their LSNs are consecutive, the first is returned. They are
    /// durable when the watermark has passed the last one's.
    ///
    /// References: a publish holds its segment once per entry (its chunks too), a move once per target,
    /// and its message once more per target. [`Record::Settle`] and the source of a [`Record::Move`]
    /// release what they name. An elidable publish all of whose entries are settled before it was written
    /// becomes a tombstone, and its settles are not written either.
    ///
    /// `records` is called under the log's lock: it must not call the store.
    ///
    /// # Errors
    /// [`AppendError`]; then nothing was appended. `urgent` appends (settles, moves, counters, catalog)
    /// are not refused for [`AppendError::Busy`], and may use the reserve that [`AppendError::Full`] keeps.
    fn append<'a>(
        &self,
        shard: Shard,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'a>>,
    ) -> Result<Lsn, AppendError>;

    /// How far the shard is on disk. One atomic load.
    fn watermark(&self, shard: Shard) -> Watermark;

    /// Calls `waiter` once when the watermark has reached `lsn`, or has failed; at once if so already.
    /// Registered under the log's lock, so no move of the watermark is missed.
    fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>);

    /// Reads messages back. `lsns` are of publish records of this shard, ascending and each once; their
    /// answers come once all of them are on disk, from a thread of the store and never from the caller's.
    /// Requests that need not wait for the disk are answered one after the other, in the order asked.
    ///
    /// A message that lives when its answer comes is found, or is [`ReadError::Damaged`] for good; one that
    /// was settled meanwhile may be [`ReadError::NotThere`]. What is handed over is never another message.
    ///
    /// [`ReadError::Damaged`]: crate::core::log::read::ReadError::Damaged
    /// [`ReadError::NotThere`]: crate::core::log::read::ReadError::NotThere
    fn read(&self, shard: Shard, lsns: Vec<Lsn>, reader: Box<dyn Reader>);

    /// Puts aside what memory has no room for: on the node's own disk, not durable, gone with the process.
    /// Never refuses: the bytes stay in memory until the disk has them, and while it is full.
    fn spill_put(&self, shard: Shard, bytes: Vec<u8>) -> SpillId;

    /// Gives back what was put aside, which stays there; from a thread of the store, never the caller's.
    fn spill_get(&self, shard: Shard, id: SpillId, reader: Box<dyn SpillReader>);

    /// Forgets what was put aside. A [`Self::spill_get`] before it may still find it.
    fn spill_drop(&self, shard: Shard, id: SpillId);

    /// References that ended without a record: the queue was deleted, or recovery found no home for them.
    fn dead(&self, dead: &[Dead]);

    /// Makes the catalog as of `upto` durable: `changes` (key, value or deleted) are those since the last
    /// checkpoint. Catalog records up to `upto` then hold no segment.
    ///
    /// # Errors
    /// [`StoreError`]; the earlier checkpoint then still holds.
    fn checkpoint(
        &self,
        shard: Shard,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = (&str, Option<&[u8]>)>,
    ) -> Result<(), StoreError>;

    /// Tells `observer` of damage that is found from now on, by the scrub or by a check.
    fn watch_damage(&self, observer: Arc<dyn DamageObserver>);

    /// Where a record is kept, for people.
    fn place(&self, lsn: Lsn) -> String;

    /// The files of large bodies. The store removes a file when the last record that names it has ended, and what
    /// ended it is durable, or at the end of a start that found none; but not before its last handle was released.
    fn bodies(&self) -> &Arc<dyn Bodies>;

    /// How much room the log takes now.
    fn space(&self) -> Space;

    /// Writes what is pending and a clean-stop mark, syncs, and stops. Later appends fail.
    ///
    /// # Errors
    /// [`StoreError`] when the last sync failed.
    fn close(&self, now: CoreTime) -> Result<(), StoreError>;
}
