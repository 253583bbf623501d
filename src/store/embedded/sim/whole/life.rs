//! One life of the store: from an open to a stop, a kill or a power cut.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::model::time::CoreTime;

use crate::telemetry::Metrics;

use crate::store::embedded::EmbeddedLog;
use crate::store::embedded::Every;
use crate::store::embedded::Settings;
use crate::store::embedded::crew::Acted;
use crate::store::embedded::crew::Actor;
use crate::store::embedded::crew::Crew;
use crate::store::embedded::sim::SimDisk;

use super::model::Heard;
use super::model::SHARD;

/// Where the data is.
pub(super) const DIR: &str = "data";
/// Small segments, so that a few hundred steps fill many.
pub(super) const SEGMENT_BYTES: u64 = 64 * 1024;

/// An actor with its name.
type Named = (String, Box<dyn Actor>);

/// Keeps the actors for the simulation to step.
#[derive(Default)]
struct Stage(Mutex<Vec<Named>>);

impl Crew for Stage {
    fn hire(&self, name: &str, actor: Box<dyn Actor>) -> io::Result<Option<JoinHandle<()>>> {
        self.0.lock().push((name.to_owned(), actor));
        Ok(None)
    }
}

/// A store that runs.
pub(super) struct Life {
    // Before the log, which the actors share.
    actors: Vec<Named>,
    pub(super) log: Arc<EmbeddedLog>,
}

impl Life {
    /// Opens and recovers the store; `heard` is told what it says, also when that fails on the way.
    pub(super) fn begin(
        disk: &SimDisk,
        now: Instant,
        checkpoint: Every,
        heard: &mut Heard,
    ) -> Result<(Self, Scanned), StoreError> {
        let settings = Settings {
            segment_bytes: SEGMENT_BYTES,
            patience: Duration::from_millis(5),
            checkpoint,
        };
        let stage = Arc::new(Stage::default());
        let (crew, metrics) = (
            Arc::clone(&stage) as Arc<dyn Crew>,
            Arc::new(Metrics::new()),
        );
        let disk = Arc::new(disk.clone());
        let log = EmbeddedLog::open_with(Path::new(DIR), settings, metrics, disk, crew, now)?;
        log.load(SHARD, &mut |key, value| {
            heard.catalog.insert(key.to_owned(), value.to_vec());
        })?;
        let scanned = log.recover(SHARD, heard)?;
        let actors = std::mem::take(&mut *stage.0.lock());
        Ok((Self { actors, log }, scanned))
    }

    /// The name of an actor.
    pub(super) fn name(&self, at: usize) -> &str {
        &self.actors[at].0
    }

    /// Lets an actor take a step.
    pub(super) fn step(&mut self, at: usize, now: Instant) -> Acted {
        self.actors[at].1.act(now)
    }

    /// Lets actors of these names act until none of them has anything to do at this time.
    pub(super) fn run(&mut self, names: &[&str], now: Instant) {
        for _ in 0..10_000 {
            let mut is_busy = false;
            for (name, actor) in &mut self.actors {
                if names.contains(&name.as_str()) {
                    is_busy |= actor.act(now) == Acted::Done;
                }
            }
            if !is_busy {
                return;
            }
        }
        panic!("{names:?} never have enough");
    }

    /// Stops the store in an orderly way.
    pub(super) fn close(mut self, now: Instant, time: CoreTime) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.log.shared);
        {
            let mut log = shared.log.lock();
            log.is_open = false;
            log.is_stopping = true;
        }
        self.run(&["viaduct-log"], now);
        shared.spares.stop();
        self.run(&["viaduct-spares"], now);
        shared.files.stop();
        self.run(&["viaduct-bodies", "viaduct-body-reads"], now);
        self.actors.clear();
        self.log.close(time)
    }
}
