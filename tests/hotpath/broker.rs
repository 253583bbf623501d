//! The broker under the tests: one at a time, since they count what the whole process does.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use viaduct::config::Config;
use viaduct::config::Listeners;
use viaduct::telemetry::Metrics;

/// Whoever holds it is the only test that runs.
static TURN: Mutex<()> = Mutex::new(());

/// A broker on free ports, with a data dir and threads of its own.
pub struct Broker {
    broker: Option<viaduct::server::Broker>,
    runtime: Runtime,
    _folder: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Broker {
    /// Waits for its turn, and starts.
    pub fn start() -> Self {
        let turn = TURN.lock();
        let folder = tempfile::tempdir().unwrap();
        let free = || vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
        let config = Config {
            data_dir: folder.path().join("data"),
            listeners: Listeners {
                amqp: free(),
                aws: free(),
                metrics: free(),
            },
            ..Config::default()
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let broker = runtime.block_on(viaduct::server::Broker::start(config));
        Self {
            broker: Some(broker.unwrap()),
            runtime,
            _folder: folder,
            _turn: turn,
        }
    }

    /// Where its AMQP door is.
    pub fn amqp(&self) -> SocketAddr {
        self.broker().listening().amqp[0]
    }

    /// What it counts.
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.broker().metrics()
    }

    fn broker(&self) -> &viaduct::server::Broker {
        self.broker
            .as_ref()
            .expect("it is taken out only to be stopped")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop()).unwrap();
        }
    }
}
