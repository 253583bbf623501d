//! Where the doors listen: bound sockets, the table on standard output, and `listeners.json`.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::config::Listeners;
use crate::transport::Bound;
use crate::transport::ListenError;
use crate::transport::bind;

/// Name of the file in the data dir.
const FILE: &str = "listeners.json";

/// A file that is given up when a start finds the disk full.
const ROOM: &str = "room";
const ROOM_BYTES: usize = 64 * 1024;

/// How often the file is tried on a full disk.
const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);

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

    /// Writes `listeners.json`. A full disk must not keep a broker from starting, for only what is consumed makes room:
    /// an earlier start has kept some for it. It is tried for a while, since the log gives back what it took for a spare
    /// in vain, and then left out.
    pub(super) async fn publish(&self, data_dir: &Path) -> io::Result<()> {
        for _ in 0..TRIES {
            match self.write(data_dir) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    if std::fs::remove_file(data_dir.join(ROOM)).is_err() {
                        tokio::time::sleep(BETWEEN_TRIES).await;
                    }
                }
                Ok(()) => {
                    keep_room(data_dir);
                    return Ok(());
                }
                failed => return failed,
            }
        }
        tracing::warn!(path = %file(data_dir).display(), "the disk is full: nobody can look up where the doors listen");
        Ok(())
    }

    /// Writes the file, as a whole or not at all.
    fn write(&self, data_dir: &Path) -> io::Result<()> {
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

/// Keeps room for the next start, if there is any.
fn keep_room(data_dir: &Path) {
    let room = data_dir.join(ROOM);
    if !room.exists() && std::fs::write(&room, vec![0; ROOM_BYTES]).is_err() {
        // Part of it is better given back than half a promise.
        let _ = std::fs::remove_file(&room);
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join(FILE)
}
