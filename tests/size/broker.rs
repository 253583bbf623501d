//! Core over the embedded log: one at a time, since the tests count what the whole process allocates.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tempfile::TempDir;
use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::declare::DeleteIf;
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
    u64::try_from(stats.bytes_allocated - stats.bytes_deallocated).unwrap()
}

/// How many there are of something: ten times as many in a long run.
pub fn scaled(usual: u32) -> u32 {
    match std::env::var_os("VIADUCT_LONG") {
        Some(_) => usual * 10,
        None => usual,
    }
}

/// A data dir, and the turn of a test.
pub struct Folder {
    folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// An open broker.
pub struct Broker {
    pub core: Core,
    pub vhost: Arc<Vhost>,
    pub metrics: Arc<Metrics>,
}

impl Folder {
    /// Waits for its turn.
    pub fn new() -> Self {
        let turn = TURN.lock();
        Self {
            folder: TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
            _turn: turn,
        }
    }

    pub fn open(&self) -> Broker {
        open(&self.folder.path().join("data"))
    }

    /// Another broker beside the one that [`Self::open`] opens.
    pub fn open_other(&self) -> Broker {
        open(&self.folder.path().join("other"))
    }

    /// Opens the broker, does something, and says how many bytes it takes then.
    pub fn measured(&self, work: impl FnOnce(&Broker)) -> u64 {
        let before = allocated();
        let broker = self.open();
        work(&broker);
        let bytes = allocated() - before;
        broker.close();
        bytes
    }
}

fn open(data: &std::path::Path) -> Broker {
    let metrics = Arc::new(Metrics::new());
    let settings = viaduct::store::embedded::Settings::default();
    let log = EmbeddedLog::open(data, settings, Arc::clone(&metrics)).unwrap();
    let settings = Settings::new(1 << 30);
    let (core, _) = Core::open(log, Formats::new(), Arc::clone(&metrics), &settings, NOW).unwrap();
    let vhost = core.vhost("/").unwrap();
    Broker {
        core,
        vhost,
        metrics,
    }
}

impl Broker {
    /// Declares a queue. This and the others say which record to wait for.
    pub fn declare(&self, queue: &str, settings: QueueSettings) -> Option<Lsn> {
        let name = QueueName::parse(queue).unwrap();
        let declared = self
            .core
            .declare_queue(&self.vhost, &name, || settings, NOW);
        declared.unwrap().lsn
    }

    pub fn delete(&self, queue: &str) -> Option<Lsn> {
        let queue = self.vhost.queue(queue).unwrap();
        let only = DeleteIf::default();
        let deleted = self.core.delete_queue(&self.vhost, &queue, only, NOW);
        deleted.unwrap().lsn
    }

    /// Binds without arguments.
    pub fn bind(&self, exchange: &str, queue: &str, key: &str) -> Option<Lsn> {
        let exchange = ExchangeName::parse(exchange).unwrap();
        let queue = QueueName::parse(queue).unwrap();
        let (key, arguments) = (key.as_bytes(), BindingArguments::default());
        let bound = self
            .core
            .bind(&self.vhost, &exchange, &queue, key, &arguments, NOW);
        bound.unwrap().lsn
    }

    /// Waits until a record is on disk.
    pub fn wait(&self, lsn: Option<Lsn>) {
        let lsn = lsn.expect("it is durable");
        let start = Instant::now();
        while !self.core.is_durable(lsn) {
            assert!(start.elapsed() < DEADLINE, "{lsn} is not on disk in time");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops cleanly.
    pub fn close(self) {
        self.core.close(NOW).unwrap();
    }
}
