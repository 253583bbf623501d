//! A running broker: started, watched, stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;
use crate::config::Config;
use crate::config::Loaded;
use crate::core::Core;
use crate::management::ControlSocket;
use crate::management::Management;
use crate::management::Operator;
use crate::telemetry::Metrics;
use crate::transport::Listener;
use crate::transport::Runtime;

use super::doors::Doors;
use super::error::StartError;
use super::error::StopError;
use super::foundation::Foundation;
use super::listening::Listening;
use super::listening::Sockets;
use super::metrics;
use super::operator::BrokerOperator;
use super::reload::Reloader;
use super::watch::Watch;
use super::watch::refresher;

/// Time that the last sync gets even when clients have used up the shutdown time-out.
const LAST_SYNC: Duration = Duration::from_secs(1);

/// A broker that serves. Dropped without [`Broker::stop`] it ends like a crash: nobody waits for its
/// clients, and the log has no mark of a clean end.
pub struct Broker {
    foundation: Foundation,
    listening: Listening,
    data_dir: PathBuf,
    shutdown_timeout: Duration,
    tasks: Tasks,
    operator: Arc<BrokerOperator>,
    is_stopping: Arc<AtomicBool>,
    failed: CancellationToken,
}

/// Tasks by when they end.
#[derive(Default)]
struct Tasks {
    /// Accept loops: first, so that nobody comes any more.
    accepting: Runtime,
    /// Client connections: told in their protocol.
    connections: Runtime,
    /// Timers, alarms, checkpoints, metrics, the control socket: needed until the clients are gone.
    background: Runtime,
}

impl Tasks {
    /// Starts everything that serves.
    fn open(
        &self,
        foundation: &Foundation,
        config: &Config,
        sockets: Sockets,
        control: ControlSocket,
        watch: &Watch,
        operator: &Arc<BrokerOperator>,
    ) {
        watch.start(&self.background);
        let operator = Arc::clone(operator) as Arc<dyn Operator>;
        let management = Management::new(
            Arc::clone(&foundation.auth),
            &config.vhost_names(),
            Some(operator),
        );
        control.serve(&self.background, management);
        metrics::serve(
            &self.background,
            sockets.metrics,
            &foundation.metrics,
            &refresher(watch.clone()),
        );
        let places =
            usize::try_from(config.limits.connections_max).unwrap_or(Semaphore::MAX_PERMITS);
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        let listener = Listener::new(self.accepting.clone(), places);
        Doors::new(foundation, config, &self.connections).open(
            &listener,
            sockets.amqp,
            sockets.aws,
        );
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for runtime in [&self.accepting, &self.connections, &self.background] {
            runtime.stop_token().cancel();
        }
    }
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// Clients that were told.
    pub told: usize,
    /// Clients that did not leave in time and were cut off.
    pub cut_off: usize,
}

impl Broker {
    /// Starts a broker: opens the data dir, replays the log, and listens on every door. Port 0 is
    /// allowed; [`Self::listening`] tells the real ones.
    ///
    /// # Errors
    /// [`StartError`]; then nothing is left running.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_loaded(Loaded::from(config), None).await
    }

    pub(super) async fn start_loaded(
        loaded: Loaded,
        reloader: Option<Reloader>,
    ) -> Result<Self, StartError> {
        let config = loaded.config.clone();
        // Replay, syncs and hashing block; the data dir is whole before anybody can connect.
        let opening = tokio::task::spawn_blocking(move || Foundation::open(&config));
        let foundation = opening.await.map_err(|_| StartError::Interrupted)??;
        let config = &loaded.config;
        foundation
            .metrics
            .start_time_seconds
            .set(seconds(foundation.clock.started_ms()));

        // All that can fail comes before the first task, so a failed start leaves none behind.
        let unusable = |source| StartError::DataDir {
            path: config.data_dir.clone(),
            source,
        };
        Listening::withdraw(&config.data_dir);
        let sockets = Sockets::bind(&config.listeners)?;
        let listening = sockets.addresses();
        let control = ControlSocket::bind(&config.data_dir).map_err(unusable)?;
        // Whoever reads this and connects is kept by the kernel until the door opens, in a moment.
        let published = listening.publish(&config.data_dir).await;
        published.map_err(unusable)?;

        let failed = CancellationToken::new();
        let is_stopping = Arc::new(AtomicBool::new(false));
        let operator = Arc::new(BrokerOperator::new(
            foundation.clone(),
            loaded.clone(),
            reloader,
            Arc::clone(&is_stopping),
        ));
        let watch = Watch::new(foundation.clone(), config, failed.clone());
        let tasks = Tasks::default();
        tasks.open(&foundation, config, sockets, control, &watch, &operator);
        Ok(Self {
            foundation,
            listening,
            data_dir: config.data_dir.clone(),
            shutdown_timeout: config.limits.shutdown_timeout,
            tasks,
            operator,
            is_stopping,
            failed,
        })
    }

    /// The real addresses of every door.
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// The core, for whoever embeds the broker.
    pub fn core(&self) -> &Core {
        &self.foundation.core
    }

    /// The directory of users.
    pub fn auth(&self) -> &Arc<Auth> {
        &self.foundation.auth
    }

    /// The numbers.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.foundation.metrics
    }

    /// How it is, for whoever operates it.
    pub fn operator(&self) -> &dyn Operator {
        self.operator.as_ref()
    }

    /// Returns when the log has failed: nothing is confirmed any more, and the process must end.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Stops: accepts nobody, tells clients in their protocol, waits for them within the time-out,
    /// syncs and closes the log.
    ///
    /// # Errors
    /// [`StopError`] if the log could not be closed.
    pub async fn stop(self) -> Result<Goodbye, StopError> {
        self.is_stopping.store(true, Ordering::Relaxed);
        Listening::withdraw(&self.data_dir);
        // One deadline for all: a container's grace time is one, too.
        let started = self.foundation.clock.now_ms();
        let timeout = self.shutdown_timeout;
        let clock = Arc::clone(&self.foundation.clock);
        let left = || {
            let spent = Duration::from_millis(clock.now_ms().saturating_sub(started));
            timeout.saturating_sub(spent)
        };
        self.tasks.accepting.shutdown(left()).await;
        let told = self.tasks.connections.tasks();
        let cut_off = self.tasks.connections.shutdown(left()).await;
        self.tasks.background.shutdown(left()).await;
        let foundation = self.foundation;
        let closing = tokio::task::spawn_blocking(move || foundation.close());
        tokio::time::timeout(left().max(LAST_SYNC), closing)
            .await
            .map_err(|_| StopError::TooSlow)?
            .map_err(|_| StopError::Interrupted)?
            .map_err(StopError::Close)?;
        Ok(Goodbye { told, cut_off })
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker")
            .field("listening", &self.listening)
            .finish_non_exhaustive()
    }
}

/// Milliseconds as the fraction of seconds that metrics show.
fn seconds(ms: u64) -> f64 {
    std::time::Duration::from_millis(ms).as_secs_f64()
}
