//! A store on a simulated disk, what it was told, and what has to be true of it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;

use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyId;
use crate::core::log::read::ReadError;
use crate::core::log::read::SpillId;
use crate::core::log::record::Record;
use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use crate::store::embedded::is_full;
use crate::store::embedded::making::Making;
use crate::store::embedded::meta::io_error;
use crate::store::embedded::sim::SimDisk;
use crate::store::embedded::sim::random::Random;

use super::life::DIR;
use super::life::Life;
use super::model::Heard;
use super::model::Model;
use super::model::SHARD;
use super::model::decode;
use super::model::encode;
use super::plan::Plan;
use super::readers::Answer;
use super::readers::Place;
use super::work;

/// A body that is being written.
pub(super) struct Upload {
    pub(super) body: BodyId,
    pub(super) left: Vec<Vec<u8>>,
    pub(super) is_finished: bool,
    pub(super) ended: Place<Result<(), BodyError>>,
}

/// What only lives as long as the process.
#[derive(Default)]
pub(super) struct Passing {
    pub(super) asked: Vec<(Vec<Lsn>, Place<Answer>)>,
    pub(super) aside: BTreeMap<SpillId, Vec<u8>>,
    pub(super) dropped: BTreeMap<SpillId, Vec<u8>>,
    pub(super) recalled: Vec<(SpillId, Place<Result<Bytes, ReadError>>)>,
    pub(super) uploads: Vec<Upload>,
    /// Whole bodies that no record names yet.
    pub(super) whole: Vec<BodyId>,
    /// Handles that were not given back.
    pub(super) handles: Vec<BodyId>,
    /// The checkpoint of the catalog that is being made, and up to which record.
    pub(super) making: Option<(u64, Making)>,
}

/// What happened, and how often.
pub(super) type Seen = BTreeMap<&'static str, u64>;

/// The whole of it.
pub(super) struct World {
    pub(super) random: Random,
    pub(super) plan: Plan,
    pub(super) disk: SimDisk,
    pub(super) life: Option<Life>,
    pub(super) model: Model,
    pub(super) passing: Passing,
    /// The last catalog record that a checkpoint has, and the last that one was to have.
    pub(super) absorbed: u64,
    pub(super) offered: u64,
    pub(super) now: Instant,
    pub(super) time: CoreTime,
    pub(super) next_queue: u64,
    pub(super) serial: u64,
    /// Starts that failed since one did not: each may have left a tombstone.
    failed_starts: u64,
    pub(super) first_serial: u64,
    is_stopped: bool,
    /// How often things happened that a simulation without them would prove nothing about.
    pub(super) seen: Seen,
    pub(super) is_loud: bool,
}

impl World {
    /// An empty disk of a seed.
    pub(super) fn new(seed: u64, now: Instant, is_loud: bool) -> Self {
        let mut random = Random::new(seed ^ 0x5EED);
        Self {
            plan: Plan::of(&mut random, &work::KINDS.map(|(_, usual, _)| usual)),
            random,
            disk: SimDisk::new(seed),
            life: None,
            model: Model::default(),
            passing: Passing::default(),
            absorbed: 0,
            offered: 0,
            now,
            time: CoreTime::from_ms(1_000),
            next_queue: 1,
            serial: 0,
            failed_starts: 0,
            first_serial: 0,
            is_stopped: false,
            seen: Seen::new(),
            is_loud,
        }
    }

    /// Says what happens, if somebody listens.
    pub(super) fn say(&self, what: impl FnOnce() -> String) {
        if self.is_loud {
            eprintln!("{}", what());
        }
    }

    pub(super) fn life(&self) -> &Life {
        self.life.as_ref().expect("it runs")
    }

    /// Takes note of what the store shows after a step.
    pub(super) fn notice(&mut self) {
        let Some(life) = &self.life else { return };
        let shared = &life.log.shared;
        if let Watermark::Durable(durable) = life.log.watermark(SHARD) {
            assert!(durable >= self.model.durable, "the watermark goes back");
            if durable > self.model.durable {
                self.say(|| format!("durable: {durable}"));
            }
            self.model.durable = durable;
        }
        let snapshot = shared.checkpoints.lock().at().log;
        if snapshot > self.model.snapshot {
            self.say(|| format!("snapshot: {snapshot}"));
        }
        self.model.snapshot = self.model.snapshot.max(snapshot);
        self.hear_answers();
        self.finish_checkpoint();
        let has_failed = self.life().log.watermark(SHARD) == Watermark::Failed;
        if has_failed {
            assert!(self.disk.struck() > 0, "it failed and nothing struck");
        }
        if self.disk.is_dark() || has_failed {
            let is_cut = self.disk.is_dark() || self.random.chance(50);
            self.end(is_cut);
            self.start();
        }
    }

    /// Notes that something happened so many times.
    pub(super) fn saw(&mut self, what: &'static str, times: u64) {
        *self.seen.entry(what).or_default() += times;
    }

    /// Notes what the store did in this life.
    fn saw_life(&mut self) {
        let shared = Arc::clone(&self.life().log.shared);
        let metrics = &shared.metrics;
        self.saw("bytes copied forward", metrics.log_copied_bytes.get());
        self.saw("bytes reclaimed", metrics.log_reclaimed_bytes.get());
        self.saw("frames", metrics.log_frames.get());
        let saved = shared.checkpoints.lock().saved();
        let saved = saved.map_or(0, |saved| saved.serial);
        self.saw("checkpoints", saved - self.first_serial);
        self.first_serial = saved;
    }

    /// Ends the process, with the power or without.
    pub(super) fn end(&mut self, is_cut: bool) {
        self.saw_life();
        self.saw(if is_cut { "power cuts" } else { "kills" }, 1);
        self.say(|| format!("--- {}", if is_cut { "power cut" } else { "kill" }));
        // First, for what is dropped would tidy up.
        match is_cut {
            true => self.disk.lose_power(),
            false => self.disk.kill(),
        }
        self.life = None;
        self.passing = Passing::default();
        self.is_stopped = false;
    }

    /// Stops the store in an orderly way.
    pub(super) fn stop(&mut self) {
        let stop = Record::Epoch {
            epoch: 1,
            clean_stop: true,
        };
        self.saw_life();
        self.saw("stops", 1);
        let is_marked = self.append(true, vec![encode(&stop)]).is_some();
        let life = self.life.take().expect("it runs");
        let closed = life.close(self.now, self.time);
        self.say(|| format!("--- stop: {closed:?}"));
        assert!(closed.is_ok() || self.disk.struck() > 0, "{closed:?}");
        self.passing = Passing::default();
        self.is_stopped = is_marked && closed.is_ok();
        if closed.is_ok() {
            self.model.durable = self.model.last();
        }
        if self.disk.is_dark() {
            self.disk.lose_power();
        }
    }

    /// Starts the store again, until that succeeds: what it tells must be what it was told.
    pub(super) fn start(&mut self) {
        for _ in 0..20 {
            let struck = self.disk.struck();
            if self.plan.cuts_starts && self.random.chance(30) {
                self.disk.fail_power(self.random.below(80));
            }
            let failed = match self.try_start() {
                Ok(()) => return,
                Err(error) => error,
            };
            self.say(|| format!("--- start failed: {failed:?}"));
            assert!(self.disk.struck() > struck, "a start fails: {failed:?}");
            self.failed_starts += 1;
            self.saw("failed starts", 1);
            if self.disk.is_dark() {
                self.disk.lose_power();
            }
            if matches!(&failed, StoreError::Io { source, .. } if is_full(source)) {
                self.saw("starts without room", 1);
            }
            self.disk.set_capacity(u64::MAX);
        }
        panic!("no start succeeds");
    }

    fn try_start(&mut self) -> Result<(), StoreError> {
        let mut heard = Heard::default();
        let begun = Life::begin(&self.disk, self.now, self.plan.every, &mut heard);
        // What is known of the end counts even if the start fails later on.
        let known = heard.scanned.clone();
        if let Some(known) = &known {
            let last = known.last.map_or(0, Lsn::number);
            self.check_end(last, known);
        }
        let (life, scanned) = begun?;
        if self.disk.is_dark() {
            // It went when nothing was left to be done but what can wait.
            self.disk.lose_power();
            drop(life);
            return Err(io_error(
                "start in",
                Path::new(DIR),
                io::Error::other("dark"),
            ));
        }
        let last = self.check_heard(heard, &scanned);
        self.say(|| {
            format!(
                "--- started: {last} records, {} entries",
                self.model.held.len()
            )
        });
        self.life = Some(life);
        self.failed_starts = 0;
        self.is_stopped = false;
        self.disk.heal();
        self.model.durable = self.model.last();
        self.model.snapshot = 0;
        self.time = self.time.max(self.model.latest(self.model.last()));
        self.check_start();
        Ok(())
    }

    /// What is durable is there, and nothing that nobody wrote.
    fn check_end(&mut self, last: u64, scanned: &Scanned) {
        assert_eq!(scanned.holes, [], "nothing is damaged");
        assert!(
            last >= self.model.durable,
            "record {} was durable, the log ends with {last}",
            self.model.durable
        );
        if self.is_stopped {
            assert!(scanned.clean_stop, "it was stopped in an orderly way");
        }
        let beyond = last.saturating_sub(self.model.last());
        assert!(beyond <= self.failed_starts, "the log ends with {last}");
        if last < self.model.last() || beyond > 0 {
            self.is_stopped = false;
        }
        let latest = self
            .model
            .latest(last.min(self.model.last()).min(self.model.durable));
        assert!(scanned.latest >= latest, "core time went back");
        self.model.cut(last);
    }
}

impl World {
    /// Appends records; none if the store does not take them.
    pub(super) fn append(&mut self, urgent: bool, records: Vec<Vec<u8>>) -> Option<Lsn> {
        let life = self.life.as_ref().expect("it runs");
        let mut decoded = records.iter().map(|bytes| decode(bytes));
        let appended = life.log.append(SHARD, self.time, urgent, &mut decoded);
        match appended {
            Ok(first) => {
                self.say(|| told(first, &records));
                self.model.append(first, self.time, records);
                Some(first)
            }
            Err(error) => {
                self.say(|| format!("refused: {error}"));
                self.saw("appends refused", 1);
                None
            }
        }
    }

    /// A new queue's id.
    pub(super) fn new_queue(&mut self) -> QueueId {
        self.next_queue += 1;
        QueueId(self.next_queue - 1)
    }

    /// Time goes on.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        let ms = u64::try_from(time.as_millis()).expect("small");
        self.time = CoreTime::from_ms(self.time.as_ms() + ms);
    }
}

/// Records in words.
fn told(first: Lsn, records: &[Vec<u8>]) -> String {
    let mut text = String::new();
    for (number, record) in (first.number()..).zip(records) {
        let mut record = format!("{:?}", decode(record));
        record.retain(|c| c.is_ascii_alphanumeric() || "{}():, ".contains(c));
        let start: String = record.chars().take(300).collect();
        text.push_str(&format!("    {number} {start}\n"));
    }
    text
}
