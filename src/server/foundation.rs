//! What lies under the doors: data dir, store, core, users. Opening it blocks.

use std::sync::Arc;

use crate::auth::Auth;
use crate::auth::Records;
use crate::aws::sqs::mapping::SQS_FORMAT;
use crate::aws::sqs::mapping::SqsDecode;
use crate::config::Config;
use crate::core::Core;
use crate::core::Settings;
use crate::core::error::CoreError;
use crate::core::formats::Formats;
use crate::core::log::store::Store;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
use crate::protocols::amqp091;
use crate::protocols::amqp091::mapping::Amqp091Head;
use crate::store::embedded;
use crate::store::embedded::EmbeddedLog;
use crate::telemetry::Metrics;
use crate::transport::Clock;

use super::catalog::CatalogRecords;
use super::catalog::wait_durable;
use super::data_dir;
use super::diary::Diary;
use super::error::StartError;
use super::memory;

/// Everything that a broker has before it listens.
#[derive(Clone, Debug)]
pub(super) struct Foundation {
    pub(super) clock: Arc<Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) core: Core,
    pub(super) auth: Arc<Auth>,
}

impl Foundation {
    /// Takes the data dir's lock, replays the log, and brings virtual hosts and users to what the
    /// configuration asks for.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        data_dir::prepare(&config.data_dir)?;
        let clock = Arc::new(Clock::start());
        let metrics = Arc::new(Metrics::new());
        let log = EmbeddedLog::open(
            &config.data_dir,
            embedded::Settings::default(),
            Arc::clone(&metrics),
        );
        let store: Arc<dyn Store> = log.map_err(StartError::Store)?;
        let memory_budget_bytes = config.limits.memory_budget(memory::available_bytes());
        let settings = Settings {
            cache_bytes: config.limits.message_cache(memory_budget_bytes),
            ..Settings::new(memory_budget_bytes)
        };
        let start = CoreTime::from_ms(clock.now_ms());
        let (core, now) = Core::open(store, formats(), Arc::clone(&metrics), &settings, start)?;
        clock.not_below(now.as_ms());
        let floor = config.limits.disk_free_floor_bytes;
        core.observe(Arc::new(Diary::new(Arc::clone(core.budget()), floor)));
        create_vhosts(&core, config, now)?;
        let records: Arc<dyn Records> =
            Arc::new(CatalogRecords::new(core.clone(), Arc::clone(&clock)));
        let auth = Arc::new(Auth::open(records, &config.auth, &config.vhost_names())?);
        Ok(Self {
            clock,
            metrics,
            core,
            auth,
        })
    }

    /// Syncs and closes everything. Blocks.
    pub(super) fn close(&self) -> Result<(), CoreError> {
        // What a checkpoint lacks, the log has: its failure alone loses nothing.
        if let Err(error) = self.core.checkpoint() {
            tracing::warn!(%error, "the catalog could not be checkpointed; the log still has it");
        }
        self.core.close(self.now())
    }

    /// Core time.
    pub(super) fn now(&self) -> CoreTime {
        CoreTime::from_ms(self.clock.now_ms())
    }
}

/// The decoders of all doors: whoever reads a message may have it from any of them.
fn formats() -> Formats {
    Formats::new()
        .with(amqp091::mapping::FORMAT, Arc::new(Amqp091Head))
        .with(SQS_FORMAT, Arc::new(SqsDecode))
}

fn create_vhosts(core: &Core, config: &Config, now: CoreTime) -> Result<(), StartError> {
    for name in config.vhost_names() {
        let parsed = VhostName::parse(&name);
        let vhost = parsed.map_err(|error| StartError::Vhost {
            name,
            reason: error.to_string(),
        })?;
        let written = core.create_vhost(&vhost, now)?;
        if written.lsn.is_some_and(|lsn| !wait_durable(core, lsn)) {
            return Err(StartError::Core(CoreError::LogFailed));
        }
    }
    Ok(())
}
