//! Where the doors listen: bound sockets, the table on standard output, and `listeners.json`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::Listeners;
use crate::transport::Bound;
use crate::transport::ListenError;
use crate::transport::bind;

/// Name of the file in the data dir.
const FILE: &str = "listeners.json";

/// The real addresses of every door, with the ports that the system chose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// AMQP 0-9-1.
    pub amqp: Vec<SocketAddr>,
    /// The AWS gateway.
    pub aws: Vec<SocketAddr>,
    /// Metrics.
    pub metrics: Vec<SocketAddr>,
}

/// The bound sockets of every door.
pub(super) struct Sockets {
    pub(super) amqp: Vec<Bound>,
    pub(super) aws: Vec<Bound>,
    pub(super) metrics: Vec<Bound>,
}

impl Sockets {
    /// Binds everything, or nothing: what was bound is closed again when a later one fails.
    pub(super) fn bind(listeners: &Listeners) -> Result<Self, ListenError> {
        Ok(Self {
            amqp: bind(&listeners.amqp, "AMQP 0-9-1", "amqp")?,
            aws: bind(&listeners.aws, "AWS", "aws")?,
            metrics: bind(&listeners.metrics, "metrics", "metrics")?,
        })
    }

    /// The real addresses.
    pub(super) fn addresses(&self) -> Listening {
        let of = |bound: &[Bound]| bound.iter().map(Bound::address).collect();
        Listening {
            amqp: of(&self.amqp),
            aws: of(&self.aws),
            metrics: of(&self.metrics),
        }
    }
}

impl Listening {
    /// Every door with its title, the last part of its key, and its addresses.
    pub(super) fn rows(&self) -> [(&'static str, &'static str, &[SocketAddr]); 3] {
        [
            ("AMQP 0-9-1", "amqp", &self.amqp),
            ("AWS (SQS)", "aws", &self.aws),
            ("metrics", "metrics", &self.metrics),
        ]
    }

    /// Writes `listeners.json`, as a whole or not at all.
    pub(super) fn publish(&self, data_dir: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        let unfinished = data_dir.join(format!("{FILE}.new"));
        std::fs::write(&unfinished, text + "\n")?;
        std::fs::rename(unfinished, file(data_dir))
    }

    /// Takes `listeners.json` away: nobody listens any more, or not yet.
    pub(super) fn withdraw(data_dir: &Path) {
        // It may not be there, and a stale one harms only whoever doesn't ask for health.
        let _ = std::fs::remove_file(file(data_dir));
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}
