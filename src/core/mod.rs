//! The broker itself: messages, routing, queues. Knows no protocol, socket, file or clock.
//!
//! Sessions call [`Core`] directly: it is synchronous and does no IO (opening, checkpoints and closing
//! apart), takes short locks, and tells sessions through their [`inbox::Inbox`].
//!
//! ```text
//! publish: Vhost::route → Core::publish            → confirm when Core::watermark covers its LSN
//! consume: Core::subscribe → Core::take (or Event::Ready first) → Core::settle
//! declare: Core::declare_queue, bind, …            → answer when the watermark covers Written::lsn
//! ```

pub(crate) mod sync;

pub mod model;

pub mod log;

pub mod body;

pub mod budget;

pub mod error;

pub mod inbox;

pub mod formats;

pub mod route;

pub mod queue;

mod generation;

pub mod topology;

pub mod alarms;

pub mod events;

pub mod declare;

mod exchanges;

pub mod publish;

pub mod quarantine;

pub mod deliver;

mod bury;

mod carry;

mod death;

mod inter;

pub mod catalog;

mod paging;

mod record_of;

mod recover;

mod telemetry_of;

mod timers;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;

use parking_lot::RwLock;

use crate::core::alarms::AlarmState;
use crate::core::alarms::Alarms;
use crate::core::budget::Budget;
use crate::core::catalog::Catalog;
use crate::core::error::CoreError;
use crate::core::events::CoreEvent;
use crate::core::events::Events;
use crate::core::events::Observer;
use crate::core::formats::Formats;
use crate::core::inbox::Inbox;
use crate::core::log::store::Store;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
use crate::core::paging::reap::Reaper;
use crate::core::paging::tight::Tight;
use crate::core::quarantine::Quarantine;
use crate::core::queue::paging::sizes::PageSizes;
use crate::core::timers::Timers;
use crate::core::topology::Vhost;
use crate::telemetry::AlarmKind;
use crate::telemetry::Metrics;

/// What core is told when it is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bytes that messages may take in memory before publishers are blocked.
    pub memory_budget_bytes: u64,
    /// Bytes that messages may take in memory before queues put aside what is not taken next.
    pub cache_bytes: u64,
    /// The portions in which they do.
    pub pages: PageSizes,
}

impl Settings {
    /// Usual settings for a memory budget: a quarter of it is the cache.
    pub fn new(memory_budget_bytes: u64) -> Self {
        Self {
            memory_budget_bytes,
            cache_bytes: memory_budget_bytes / 4,
            pages: PageSizes::default(),
        }
    }
}

/// The broker. Cheap to clone: every session has one.
#[derive(Clone)]
pub struct Core {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    formats: Formats,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    catalog: Catalog,
    vhosts: RwLock<BTreeMap<VhostName, Arc<Vhost>>>,
    timers: Arc<Timers>,
    cache_bytes: u64,
    sizes: Arc<PageSizes>,
    /// A push found the cache full of what belongs to other queues.
    tight: Tight,
    reaper: Arc<Reaper>,
    alarms: AlarmState,
    events: Arc<Events>,
    quarantine: Arc<Quarantine>,
    queue_serial: AtomicU64,
    transient_serial: AtomicU64,
}

impl Core {
    /// Opens the broker on a store: reads the catalog and replays the log. `now` is the wall clock;
    /// core time starts at the later of it and the log's last time, which is returned. Makes sure that
    /// the vhost `/` exists.
    ///
    /// # Errors
    /// [`CoreError::Store`] when the store cannot be read.
    pub fn open(
        store: Arc<dyn Store>,
        formats: Formats,
        metrics: Arc<Metrics>,
        settings: &Settings,
        now: CoreTime,
    ) -> Result<(Self, CoreTime), CoreError> {
        let events = Arc::new(Events::default());
        let quarantine = Quarantine::new(Arc::clone(&metrics), Arc::clone(&events));
        let inner = Inner {
            catalog: Catalog::new(store.capabilities().shards),
            store,
            formats,
            metrics,
            budget: Budget::new(settings.memory_budget_bytes),
            vhosts: RwLock::default(),
            timers: Arc::default(),
            cache_bytes: settings.cache_bytes,
            sizes: Arc::new(settings.pages),
            tight: Tight::default(),
            reaper: Arc::default(),
            alarms: AlarmState::default(),
            events,
            quarantine: Arc::new(quarantine),
            queue_serial: AtomicU64::new(1),
            transient_serial: AtomicU64::new(0),
        };
        let core = Self {
            inner: Arc::new(inner),
        };
        let now = core.recover(now)?;
        core.watch_damage();
        core.refresh_memory_alarm();
        if let Ok(root) = VhostName::parse("/") {
            core.create_vhost(&root, now)?;
        }
        Ok((core, now))
    }

    /// Looks a vhost up.
    ///
    /// # Errors
    /// [`CoreError::VhostNotFound`].
    pub fn vhost(&self, name: &str) -> Result<Arc<Vhost>, CoreError> {
        let vhosts = self.inner.vhosts.read();
        vhosts
            .get(name)
            .cloned()
            .ok_or_else(|| CoreError::VhostNotFound(name.to_owned()))
    }

    /// All vhosts, by name.
    pub fn vhosts(&self) -> Vec<Arc<Vhost>> {
        self.inner.vhosts.read().values().cloned().collect()
    }

    /// The budget that batches are charged to.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.inner.budget
    }

    /// The decoders of neutral views.
    pub fn formats(&self) -> &Formats {
        &self.inner.formats
    }

    /// The one table of metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// Who the store is.
    pub fn identity(&self) -> Identity {
        self.inner.store.identity()
    }

    /// The store, for its space and its capabilities.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// How far a shard is on disk.
    pub fn watermark(&self, shard: Shard) -> Watermark {
        self.inner.store.watermark(shard)
    }

    /// Whether the record at `lsn` is on disk.
    pub fn is_durable(&self, lsn: Lsn) -> bool {
        self.watermark(lsn.shard()).covers(lsn)
    }

    /// Posts [`inbox::Event::WatermarkMoved`] once `lsn` is on disk, or never will be.
    pub fn wait(&self, lsn: Lsn, inbox: &Arc<Inbox>) {
        self.inner.store.wait(
            lsn,
            Arc::clone(inbox) as Arc<dyn crate::core::log::store::Waiter>,
        );
    }

    /// Which alarms are raised.
    pub fn alarms(&self) -> Alarms {
        self.inner.alarms.get()
    }

    /// Posts [`inbox::Event::AlarmsChanged`] whenever an alarm is raised or cleared, as long as the inbox
    /// lives.
    pub fn watch_alarms(&self, inbox: &Arc<Inbox>) {
        self.inner.alarms.watch(inbox);
    }

    /// Whoever watches the disk says whether its free space is below the floor. True: that is news.
    pub fn set_disk_alarm(&self, raised: bool) -> bool {
        let changed = self.inner.alarms.set_disk(raised);
        self.alarm_changed(changed, AlarmKind::Disk, raised);
        changed
    }

    /// Compares memory in use with the budget; cleared below nine tenths of it. True: that is news.
    pub fn refresh_memory_alarm(&self) -> bool {
        let inner = &self.inner;
        inner.alarms.follow(&inner.budget, |raised| {
            self.alarm_changed(true, AlarmKind::Memory, raised);
        })
    }

    fn alarm_changed(&self, changed: bool, kind: AlarmKind, raised: bool) {
        if changed {
            self.inner.metrics.alarms.of(kind).set(i64::from(raised));
            if raised {
                self.inner.metrics.alarms_raised.of(kind).inc();
            }
            self.emit(&CoreEvent::Alarms(self.alarms()));
        }
    }

    /// Tells `observer` everything that happens from now on.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.inner.events.observe(observer);
    }

    fn emit(&self, event: &CoreEvent) {
        self.inner.events.emit(event);
    }

    /// When something is due next: call [`Core::tick`] then.
    pub fn next_due(&self) -> Option<CoreTime> {
        self.inner.timers.next_due()
    }

    /// Ready once [`Core::next_due`] is no longer `known`. One task may poll it.
    pub fn poll_due_changed(&self, known: Option<CoreTime>, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.timers.poll_changed(known, cx)
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`].
    pub fn tick(&self, now: CoreTime) -> Result<(), CoreError> {
        while let Some(queue) = self.inner.timers.pop_due(now) {
            self.on_queue(&queue, now, |state, effects| state.on_timer(now, effects))?;
        }
        Ok(())
    }

    /// Keeps a value of another layer (`user/…`) in the catalog. `value` none deletes it. Answer when
    /// the watermark covers the LSN.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`], [`CoreError::Full`].
    ///
    /// # Panics
    /// For a key of core's own kinds.
    pub fn put(&self, key: &str, value: Option<Vec<u8>>, now: CoreTime) -> Result<Lsn, CoreError> {
        assert!(!catalog::is_core_key(key), "{key} is core's own");
        self.put_catalog(Shard(0), now, &[(key.to_owned(), value)])
    }

    /// Every key and value of other layers ([`Core::put`]) that starts with `prefix`.
    pub fn scan(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.inner.catalog.scan(prefix)
    }

    /// Writes a checkpoint of the catalog. Does IO: not for a session.
    ///
    /// # Errors
    /// [`CoreError::Store`]; the earlier checkpoint still holds.
    pub fn checkpoint(&self) -> Result<(), CoreError> {
        for shard in (0..self.inner.store.capabilities().shards).map(Shard) {
            self.inner.catalog.checkpoint(&self.inner.store, shard)?;
        }
        Ok(())
    }

    /// Whether so much of the catalog has changed that [`Core::checkpoint`] should not wait for its time.
    pub fn has_catalog_backlog(&self) -> bool {
        self.inner.catalog.has_backlog()
    }

    /// Stops cleanly: logs the counters of entries that somebody had, and closes the store. Does IO.
    /// Sessions must have released what they held.
    ///
    /// # Errors
    /// [`CoreError::Store`], [`CoreError::LogFailed`].
    pub fn close(&self, now: CoreTime) -> Result<(), CoreError> {
        for vhost in self.vhosts() {
            let queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            for queue in queues {
                self.on_queue(&queue, now, |state, effects| {
                    effects.counted = state.counters();
                })?;
            }
        }
        Ok(self.inner.store.close(now)?)
    }

    fn put_catalog(
        &self,
        shard: Shard,
        now: CoreTime,
        changes: &[catalog::Change],
    ) -> Result<Lsn, CoreError> {
        self.inner
            .catalog
            .put(&*self.inner.store, shard, now, changes)
    }

    fn next_transient(&self) -> u64 {
        self.inner.transient_serial.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").finish_non_exhaustive()
    }
}
