//! A broker as a process: signals in, exit code out.

use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::auth::DefaultUsers;
use crate::config::Loaded;
use crate::config::Rank;
use crate::config::Sources;
use crate::config::Used;
use crate::management::Reloaded;
use crate::telemetry::LogHandle;

use super::banner;
use super::broker::Broker;
use super::error::StartError;
use super::error::StopError;
use super::reload::Reloader;

/// Why a broker's process ends badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It did not stop cleanly.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// The log failed while it ran.
    #[error("the log could not be written: what was confirmed is safe, nothing more can be taken")]
    LogFailed,
    /// The process cannot have signal handlers.
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] std::io::Error),
}

/// The signals that a broker listens to. Handlers of our own are what makes them work as PID 1,
/// where the kernel has no default action.
struct Signals {
    term: Signal,
    interrupt: Signal,
    /// Never waited for: having a handler turns a file-size limit into an error of the write, which
    /// ends the broker in words instead of by a signal.
    _file_size: Signal,
}

/// SIGXFSZ, which tokio has no name for; 25 on Linux and macOS.
const FILE_SIZE_EXCEEDED: i32 = 25;

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            _file_size: signal(SignalKind::from_raw(FILE_SIZE_EXCEEDED))?,
        })
    }
}

impl Signals {
    /// Waits for a signal that asks for the end, and gives its name.
    ///
    /// # Cancel safety
    /// No signal is lost when the wait is dropped.
    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Runs a broker until a signal ends it.
///
/// # Errors
/// [`RunError`] says what to tell and how to exit.
pub async fn run(loaded: Loaded, sources: Sources, log: Option<LogHandle>) -> Result<(), RunError> {
    let mut signals = Signals::new().map_err(RunError::Signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(RunError::Signals)?;
    log_panics();
    raise_open_files(loaded.config.limits.connections_max);
    tell_foreign_names(&loaded);
    let (config, vhost) = (loaded.config.clone(), loaded.vhost.clone());
    let starting = Broker::start_loaded(loaded, Some(Reloader::new(sources, log)));
    // A start that replays a long log must not hold a stop up. Dropping it half-way closes what it
    // opened; reading a log changes nothing in it.
    let broker = tokio::select! {
        started = starting => started?,
        name = signals.end() => {
            tracing::info!(signal = name, "stopped before it was ready");
            return Ok(());
        }
    };
    banner::print(&config, &vhost, broker.listening(), broker.auth());
    if config.auth.default_users == DefaultUsers::Anywhere {
        tracing::warn!(
            "auth.default_users = \"anywhere\": whoever reaches the broker can log in as guest"
        );
    }
    tracing::info!(data_dir = %config.data_dir.display(), version = env!("CARGO_PKG_VERSION"), "ready");
    let name = loop {
        // All branches only wait; dropping them loses nothing.
        tokio::select! {
            biased;
            () = broker.failed() => {
                // Clients are told and go; what they did not hear confirmed they will send again.
                let _ = broker.stop().await;
                return Err(RunError::LogFailed);
            }
            name = signals.end() => break name,
            _ = hangup.recv() => log_reload(&broker.operator().reload()),
        }
    };
    tracing::info!(signal = name, "stopping");
    let mut stopping = Box::pin(broker.stop());
    let goodbye = tokio::select! {
        goodbye = &mut stopping => goodbye?,
        name = signals.end() => {
            tracing::warn!(signal = name, "second signal: not waiting any longer");
            // Dropped, it would wait for the disk; the process ends now.
            std::mem::forget(stopping);
            return Err(RunError::Stop(StopError::Interrupted));
        }
    };
    tracing::info!(
        told = goodbye.told,
        cut_off = goodbye.cut_off,
        "stopped, everything is on the disk"
    );
    Ok(())
}

/// What became of the variables of other images: they count wherever they are set, so somebody may
/// not have meant the broker.
fn tell_foreign_names(loaded: &Loaded) {
    for Used { name, key, rank } in &loaded.used {
        match rank {
            Rank::Counts => {
                tracing::info!(variable = name, key, "another image's variable sets a key");
            }
            Rank::Outranked(by) => {
                tracing::info!(variable = name, key, %by, "another image's variable is outranked");
            }
            Rank::Overrides(other) => {
                tracing::warn!(variable = name, key, over = %other, "another image's variable sets a key");
            }
        }
    }
    for unused in &loaded.unused {
        tracing::warn!(
            variable = unused.names.join(", "),
            why = unused.why,
            "another image's variable is not used"
        );
    }
    let vhost = loaded.config.vhosts.get(&loaded.vhost);
    if vhost.is_some_and(|vhost| vhost.account.is_none()) {
        tracing::info!(
            vhost = loaded.vhost,
            "no SQS in this virtual host until the key vhosts.<name>.account is set"
        );
    }
}

/// A panic ends one connection or task, not the process. It belongs into the log, in its format.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "a task panicked: please report this");
    }));
}

/// Takes as many open files as the system lets us have: each connection is one.
fn raise_open_files(connections_max: u32) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
    if let Some(files) = getrlimit(Resource::Nofile).current
        && files < u64::from(connections_max)
    {
        tracing::debug!(
            files,
            connections_max,
            "the system allows fewer open files than limits.connections_max"
        );
    }
}

fn log_reload(reloaded: &Reloaded) {
    for problem in &reloaded.problems {
        tracing::error!(problem, "configuration not reloaded");
    }
    for key in &reloaded.applied {
        tracing::info!(key, "reloaded");
    }
    for key in &reloaded.needs_restart {
        tracing::warn!(key, "changed, but needs a restart");
    }
    if reloaded == &Reloaded::default() {
        tracing::info!("configuration reloaded, nothing changed");
    }
}
