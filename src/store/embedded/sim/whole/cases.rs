//! What the simulation found once, in few steps each.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::core::log::record::BodyFields;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use crate::store::embedded::disk::Disk;
use crate::store::embedded::making::Making;

use super::life::DIR;
use super::life::Life;
use super::model::Heard;
use super::plan::ACTORS;
use super::start;
use super::world::World;

/// The writer, as actors are hired.
const WRITER: usize = 2;

/// A store in which nothing goes wrong that a test does not do, with a queue.
fn world() -> World {
    let mut world = World::new(1, start(), false);
    world.plan.cuts_starts = false;
    world.start();
    world.create_queue();
    world
}

impl World {
    /// Publishes a message to queue 1 with a body of so many bytes.
    fn publish_one(&mut self, bytes: usize) -> Lsn {
        let body = vec![7; bytes];
        let body = BodyFields::Inline(Cow::Owned(vec![body.as_slice()]));
        let record = self.publish_of(&[QueueId(1)], body);
        self.append(false, vec![record]).expect("it is taken")
    }

    /// Lets the writer write what is pending.
    fn write(&mut self) {
        self.wait(Duration::from_millis(10));
        self.act_on(WRITER, 100);
        assert_eq!(self.model.durable, self.model.last());
    }

    /// Begins a checkpoint that has nothing of the catalog.
    fn snapshot(&self) -> Making {
        let shared = Arc::clone(&self.life().log.shared);
        let mut checkpoints = shared.checkpoints.lock();
        Making::begin(&shared, &mut checkpoints, None)
    }

    /// Writes it.
    fn save(&self, making: &mut Making) {
        let shared = Arc::clone(&self.life().log.shared);
        let finished = making.finish(&shared, &mut shared.checkpoints.lock());
        assert!(finished.expect("nothing goes wrong"));
    }
}

#[test]
fn a_segment_that_got_what_a_snapshot_knew_as_pending_is_read_to_its_end() {
    let mut world = world();
    world.publish_one(25_000);
    world.write();
    let confirmed = world.publish_one(10_000);
    let mut making = world.snapshot();
    world.write();
    world.save(&mut making);
    // For this there is no room in the segment, which ends with what was pending.
    world.publish_one(28_000);
    world.write();
    assert_eq!(world.life().log.space().segments, 2);
    world.end(true);
    world.start();
    assert!(world.model.has_message(confirmed));
}

#[test]
fn a_segment_without_a_record_is_weighed() {
    let mut world = world();
    world.end(true);
    world.start();
    for at in (0..ACTORS).cycle().take(ACTORS * 8) {
        world.wait(Duration::from_secs(1));
        world.act_on(at, 10);
    }
    assert_eq!(world.model.last(), 0);
}

#[test]
fn a_change_of_the_catalog_that_cannot_be_read_is_a_hole_though_a_checkpoint_has_the_rest() {
    let mut world = world();
    world.write();
    world.publish_one(10);
    world.write();
    let mut making = world.snapshot();
    world.save(&mut making);
    world.end(true);
    let path = Path::new(DIR).join("log/0000000001.seg");
    let file = Disk::open(&world.disk, &path).unwrap();
    // The first frame, which has the queue and nothing else.
    file.write_all_at(&[0; 64], 4096).unwrap();
    let mut heard = Heard::default();
    let (_, scanned) = Life::begin(&world.disk, world.now, world.plan.every, &mut heard).unwrap();
    assert!(!heard.has(QueueId(1)), "it is lost");
    let holes: Vec<_> = scanned
        .holes
        .iter()
        .map(|h| (h.first.number(), h.last.number()))
        .collect();
    assert_eq!(holes, [(1, 1)]);
}
