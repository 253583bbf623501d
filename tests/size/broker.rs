//! Core over the embedded log: one at a time, since the tests count what the whole process allocates.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tempfile::TempDir;
use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::declare::Written;
use viaduct::core::formats::Formats;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::time::CoreTime;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::route::binding::BindingArguments;
use viaduct::core::topology::Vhost;
use viaduct::store::embedded::EmbeddedLog;
use viaduct::telemetry::Metrics;

use crate::ALLOCATOR;

pub const NOW: CoreTime = CoreTime::from_ms(1_700_000_000_000);
const DEADLINE: Duration = Duration::from_secs(120);

/// Whoever holds it is the only test that runs.
static TURN: Mutex<()> = Mutex::new(());

/// Bytes that are allocated now, by anybody in this process.
pub fn allocated() -> u64 {
    let stats = ALLOCATOR.stats();
    u64::try_from(stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)).unwrap()
}

/// How many there are of something in a usual run, and ten times as many in a long one.
pub fn scaled(usual: u32) -> u32 {
    match std::env::var_os("VIADUCT_LONG") {
        Some(_) => usual * 10,
        None => usual,
    }
}

/// A data dir whose turn it is.
pub struct Folder {
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// An open broker.
pub struct Broker {
    pub core: Core,
    pub vhost: Arc<Vhost>,
}

impl Folder {
    pub fn new() -> Self {
        let turn = TURN.lock();
        Self {
            folder: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
            _turn: turn,
        }
    }

    pub fn open(&self) -> Broker {
        let metrics = Arc::new(Metrics::new());
        let settings = viaduct::store::embedded::Settings::default();
        let log = EmbeddedLog::open(
            &self.folder.path().join("data"),
            settings,
            Arc::clone(&metrics),
        )
        .unwrap();
        let settings = Settings {
            memory_budget_bytes: 1 << 30,
        };
        let (core, _) =
            Core::open(log, Formats::new(), Arc::clone(&metrics), &settings, NOW).unwrap();
        let vhost = core.vhost("/").unwrap();
        Broker {
            core,
            vhost,
            metrics,
        }
    }
}

impl Broker {
    /// Declares a durable queue.
    pub fn declare(&self, name: &str, settings: impl FnOnce() -> QueueSettings) -> Option<Lsn> {
        let name = QueueName::parse(name).unwrap();
        self.core
            .declare_queue(&self.vhost, &name, settings, NOW)
            .unwrap()
            .lsn
    }

    /// Binds a queue.
    pub fn bind(
        &self,
        exchange: &str,
        queue: &str,
        key: &str,
        arguments: &BindingArguments,
    ) -> Option<Lsn> {
        let (exchange, queue) = (
            ExchangeName::parse(exchange).unwrap(),
            QueueName::parse(queue).unwrap(),
        );
        let bound: Written<()> = self
            .core
            .bind(
                &self.vhost,
                &exchange,
                &queue,
                key.as_bytes(),
                arguments,
                NOW,
            )
            .unwrap();
        bound.lsn
    }

    /// Waits until a record is on disk.
    pub fn wait(&self, lsn: Option<Lsn>) {
        let lsn = lsn.expect("it is durable");
        let start = Instant::now();
        while !self.core.is_durable(lsn) {
            assert!(
                start.elapsed() < DEADLINE,
                "record {lsn} is not on disk in time"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops cleanly.
    pub fn close(self) {
        self.core.close(NOW).unwrap();
    }
}
