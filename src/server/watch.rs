//! What happens without a client: timers, alarms, checkpoints, and the eye on the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Shard;
use crate::core::queue::Counts;
use crate::core::queue::Queue;
use crate::core::topology::Vhost;
use crate::transport::Runtime;

use super::foundation::Foundation;

/// How often memory and the log are looked at: an alarm that comes later lets too much in.
const LOOK: Duration = Duration::from_millis(100);

/// Free disk space is looked at once a second: a disk writes less than the floor of 1 GiB meanwhile.
const LOOKS_PER_DISK_LOOK: u32 = 10;

/// How often it is looked whether much of the catalog has changed.
const CHECKPOINT_LOOK: Duration = Duration::from_secs(1);

/// The catalog is checkpointed every 30 s, when it changed at all.
const LOOKS_PER_CHECKPOINT: u32 = 30;

/// Queues that are looked up at once for the sums of metrics.
const QUEUES_PER_PAGE: usize = 1000;

/// The eyes of a broker.
#[derive(Clone)]
pub(super) struct Watch {
    foundation: Foundation,
    data_dir: PathBuf,
    disk_floor_bytes: u64,
    /// Cancelled when the log has failed and the process must end.
    failed: CancellationToken,
}

impl Watch {
    pub(super) fn new(foundation: Foundation, config: &Config, failed: CancellationToken) -> Self {
        let (metrics, floor) = (&foundation.metrics, config.limits.disk_free_floor_bytes);
        metrics
            .memory_limit_bytes
            .set(signed(foundation.core.budget().limit()));
        metrics.disk_floor_bytes.set(signed(floor));
        Self {
            foundation,
            data_dir: config.data_dir.clone(),
            disk_floor_bytes: floor,
            failed,
        }
    }

    /// Starts the tasks.
    pub(super) fn start(&self, runtime: &Runtime) {
        self.check_disk();
        let (watch, stop) = (self.clone(), runtime.stop_token().clone());
        runtime.spawn(async move { until(stop, watch.timers()).await });
        let (watch, stop) = (self.clone(), runtime.stop_token().clone());
        runtime.spawn(async move { until(stop, watch.look()).await });
        let (watch, stop, blocking) = (self.clone(), runtime.stop_token().clone(), runtime.clone());
        runtime.spawn(async move { until(stop, watch.keep_house(&blocking)).await });
        let (watch, stop, blocking) = (self.clone(), runtime.stop_token().clone(), runtime.clone());
        runtime.spawn(async move { until(stop, watch.checkpoints(&blocking)).await });
    }

    /// Calls core when something is due.
    async fn timers(&self) {
        let Foundation { core, clock, .. } = &self.foundation;
        loop {
            let due = core.next_due();
            // Both branches only wait: dropping them loses nothing.
            tokio::select! {
                () = std::future::poll_fn(|cx| core.poll_due_changed(due, cx)) => continue,
                () = sleep_until(due.map(|due| clock.instant_of(due.as_ms()))) => {}
            }
            if let Err(error) = core.tick(self.foundation.now()) {
                tracing::error!(%error, "timers cannot be carried out");
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    async fn look(&self) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for _ in 0..LOOKS_PER_DISK_LOOK {
                ticks.tick().await;
                self.check_log();
                self.foundation.core.refresh_memory_alarm();
            }
            self.check_disk();
        }
    }

    /// Gives memory and the log's room back. Off the async threads: there may be much of it.
    async fn keep_house(&self, runtime: &Runtime) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let core = self.foundation.core.clone();
            if core.has_house_work() {
                let done = runtime.spawn_blocking(move || {
                    core.squeeze();
                    core.reap();
                });
                if let Err(error) = done.await {
                    tracing::error!(%error, "memory and room could not be given back");
                }
            }
        }
    }

    /// After a failed sync nothing is confirmed any more: the process must end, loudly.
    fn check_log(&self) {
        let core = &self.foundation.core;
        let shards = core.store().capabilities().shards;
        let has_failed = (0..shards).any(|shard| core.watermark(Shard(shard)) == Watermark::Failed);
        if has_failed && !self.failed.is_cancelled() {
            tracing::error!(data_dir = %self.data_dir.display(), "the log cannot be written: nothing more is confirmed, the broker stops");
            self.failed.cancel();
        }
    }

    fn check_disk(&self) {
        let free = match rustix::fs::statvfs(&self.data_dir) {
            Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
            Err(error) => {
                tracing::warn!(%error, data_dir = %self.data_dir.display(), "free disk space cannot be read");
                return;
            }
        };
        let (core, floor) = (&self.foundation.core, self.disk_floor_bytes);
        self.foundation.metrics.disk_free_bytes.set(signed(free));
        core.set_disk_alarm(free < floor);
    }

    /// Checkpoints the catalog again and again: sooner when much has changed, which is in memory until then.
    async fn checkpoints(&self, runtime: &Runtime) {
        let mut ticks = tokio::time::interval(CHECKPOINT_LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let core = self.foundation.core.clone();
            let written = runtime.spawn_blocking(move || core.checkpoint()).await;
            let error = written.ok().and_then(Result::err);
            if let Some(error) = &error {
                tracing::warn!(%error, "the catalog could not be checkpointed; the log still has it");
            }
            for _ in 0..LOOKS_PER_CHECKPOINT {
                ticks.tick().await;
                // A disk that just refused is not asked again at once.
                if error.is_none() && self.foundation.core.has_catalog_backlog() {
                    break;
                }
            }
        }
    }

    /// Brings the gauges up to date that nobody counts as they change.
    pub(super) fn refresh(&self) {
        let Foundation { core, metrics, .. } = &self.foundation;
        let space = core.store().space();
        metrics.memory_used_bytes.set(signed(core.budget().used()));
        metrics.log_segments.set(signed(space.segments));
        metrics.log_disk_bytes.set(signed(space.log_bytes));
        let mut sum = Counts::default();
        for queue in core.vhosts().iter().flat_map(|vhost| all_queues(vhost)) {
            let counts = queue.counts();
            sum.ready += counts.ready;
            sum.leased += counts.leased;
            sum.delayed += counts.delayed;
        }
        metrics.messages_ready.set(signed(sum.ready));
        metrics.messages_leased.set(signed(sum.leased));
        metrics.messages_delayed.set(signed(sum.delayed));
    }
}

/// The queues of a virtual host, page by page, so that its names are not locked for long.
fn all_queues(vhost: &Vhost) -> impl Iterator<Item = Arc<Queue>> {
    let mut from = Some(String::new());
    std::iter::from_fn(move || {
        let page = vhost.queues_from(from.as_deref()?, QUEUES_PER_PAGE);
        // NUL is no part of a name, so this is right behind the last.
        from = page.last().map(|last| format!("{}\0", last.name()));
        (!page.is_empty()).then_some(page)
    })
    .flatten()
}

/// Runs until stopped. What is dropped then is only waiting.
async fn until(stop: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn sleep_until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// What brings the gauges up to date, for whoever scrapes.
pub(super) fn refresher(watch: Watch) -> Arc<dyn Fn() + Send + Sync> {
    Arc::new(move || watch.refresh())
}
