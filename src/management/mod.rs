//! What an operator talks to: the control socket's router, later the HTTP API and the console.
//!
//! Paths and shapes of `/api/` are those of RabbitMQ's management API where it has them, so that
//! the same router can serve its tools. [`Management::answer`] takes a whole request and gives a
//! whole answer: the control socket serves it, and the command line calls it directly when no
//! broker runs.

mod answer;
mod broker;
mod permissions;
mod router;
mod socket;
mod users;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use crate::auth::Auth;

pub use socket::ControlPath;
pub use socket::ControlSocket;

/// What only the running broker can tell or do.
pub trait Operator: Send + Sync {
    /// How it is.
    fn health(&self) -> Health;
    /// The configuration in effect, as `config print --effective` shows it.
    fn effective_config(&self) -> String;
    /// Reads the configuration again and takes over what can be taken over.
    fn reload(&self) -> Reloaded;
    /// Begins something that takes long; why not, if something else does already.
    fn begin(&self, task: Task) -> Result<(), String>;
    /// How far the last such thing is, none if there was none. It is given up when nobody asks for long.
    fn work(&self) -> Option<Work>;
    /// Asks it to end, unfinished.
    fn give_up(&self);
}

/// Something that takes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Reads the data dir and says what is damaged.
    Check,
    /// Copies the data dir to a folder that is empty or missing.
    Backup(PathBuf),
}

/// How far something is that takes long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// `check` or `backup`.
    pub task: String,
    /// Whether it still goes on.
    pub is_running: bool,
    /// Bytes done.
    pub done: u64,
    /// Bytes to do, as far as is known.
    pub total: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// What came out: a check's report, a backup's size.
    pub result: Option<serde_json::Value>,
}

/// How the broker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `ok`; `alarm` while publishers wait; `stopping`.
    pub status: String,
    /// Version of the broker.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Alarms in force: `memory`, `disk`.
    pub alarms: Vec<String>,
    /// Damaged places of the data dir that were found since the start, the start included.
    #[serde(default)]
    pub damages: u64,
    /// Queues that are quarantined, some of them if there are very many, each with its virtual host and why.
    #[serde(default)]
    pub quarantined: Vec<String>,
    /// How many there are.
    #[serde(default)]
    pub quarantined_total: u64,
}

/// What a reload did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Keys whose new value is in effect.
    pub applied: Vec<String>,
    /// Keys whose new value needs a restart.
    pub needs_restart: Vec<String>,
    /// What is wrong with the new configuration; then nothing was taken over.
    pub problems: Vec<String>,
}

/// The management API of one broker.
#[derive(Clone)]
pub struct Management {
    auth: Arc<Auth>,
    /// Virtual hosts that exist.
    vhosts: Arc<[String]>,
    /// Absent when the command line works on a stopped broker.
    operator: Option<Arc<dyn Operator>>,
}

impl Management {
    /// The API over a directory and, if it runs, the broker.
    pub fn new(auth: Arc<Auth>, vhosts: &[String], operator: Option<Arc<dyn Operator>>) -> Self {
        Self {
            auth,
            vhosts: vhosts.into(),
            operator,
        }
    }
}

impl std::fmt::Debug for Management {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Management")
            .field("vhosts", &self.vhosts)
            .finish_non_exhaustive()
    }
}
