//! What an examination of a data dir comes to.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

/// What was found in a data dir.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The data dir.
    pub data_dir: String,
    /// Whether a broker was running on it: then what it was writing was left out.
    pub is_running: bool,
    /// Files that were read.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Good frames of the log.
    pub frames: u64,
    /// Good records by kind.
    pub records: BTreeMap<String, u64>,
    /// Number of the last record, 0 = none.
    pub last: u64,
    /// Queues and their messages; empty if the broker runs, which knows better.
    pub queues: Vec<QueueCount>,
    /// What is damaged.
    pub damages: Vec<Damage>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
}

/// A queue, and how many messages the log holds for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCount {
    /// Its virtual host, empty if the queue is not declared any more.
    pub vhost: String,
    /// Its name, or its number if it is not declared any more.
    pub name: String,
    /// Messages that wait or are leased.
    pub messages: u64,
}

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// The file.
    pub file: String,
    /// Where in it the damage begins.
    pub offset: u64,
    /// How many bytes it may take, 0 if there is nothing.
    pub bytes: u64,
    /// Number of the first record that it may take, 0 = none.
    pub first: u64,
    /// Number of the last one, 0 = none or unknown.
    pub last: u64,
    /// Queues that it can concern, as `vhost/name`; none = any that existed.
    pub queues: Option<Vec<String>>,
    /// What is wrong.
    pub what: String,
    /// What `viaduct repair` would do.
    pub remedy: String,
}

impl Report {
    /// Whether nothing is damaged.
    pub fn is_sound(&self) -> bool {
        self.damages.is_empty()
    }
}
