//! A broker as a process: signals in, exit code out.

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::config::Loaded;
use crate::config::Sources;
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
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

/// Runs a broker until a signal ends it.
///
/// # Errors
/// [`RunError`] says what to tell and how to exit.
pub async fn run(loaded: Loaded, sources: Sources, log: Option<LogHandle>) -> Result<(), RunError> {
    // Before anything that takes time: a signal during the start is answered right after it.
    let mut signals = Signals::new().map_err(RunError::Signals)?;
    let config = loaded.config.clone();
    let broker = Broker::start_loaded(loaded, Some(Reloader::new(sources, log))).await?;
    banner::print(&config, broker.listening());
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
            _ = signals.term.recv() => break "SIGTERM",
            _ = signals.interrupt.recv() => break "SIGINT",
            _ = signals.hangup.recv() => log_reload(&broker.operator().reload()),
        }
    };
    tracing::info!(signal = name, "stopping");
    let goodbye = broker.stop().await?;
    tracing::info!(
        told = goodbye.told,
        cut_off = goodbye.cut_off,
        "stopped, everything is on the disk"
    );
    Ok(())
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
