//! What is kept beside the log: what was put aside, and bodies in files of their own.

use std::sync::Arc;

use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyWriter;
use crate::core::log::record::BodyFields;
use crate::core::log::store::Store;

use super::model::SHARD;
use super::readers::Place;
use super::readers::Spilled;
use super::readers::Upload as Writes;
use super::world::Upload;
use super::world::World;

impl World {
    /// Puts something aside, asks for it, or forgets it.
    pub(super) fn put_aside_or_back(&mut self) {
        match self.random.below(4) {
            0 | 1 => self.spill_put(),
            2 => self.spill_get(),
            _ => self.spill_drop(),
        }
    }

    /// Goes on with a body.
    pub(super) fn work_on_bodies(&mut self) {
        match self.random.below(8) {
            0 => self.begin_body(),
            1..=4 => self.write_body(),
            5 | 6 => self.publish_body(),
            _ => self.release_body(),
        }
    }

    fn spill_put(&mut self) {
        let bytes = self.content(30_000);
        let id = self.life().log.spill_put(SHARD, bytes.clone());
        self.passing.aside.insert(id, bytes);
    }

    fn spill_get(&mut self) {
        if self.passing.aside.is_empty() {
            return;
        }
        let at = self.random.index(self.passing.aside.len());
        let id = self.passing.aside.keys().nth(at).copied();
        let id = id.expect("it is there");
        let place = Place::new();
        let reader = Box::new(Spilled(place.twin()));
        self.life().log.spill_get(SHARD, id, reader);
        self.passing.recalled.push((id, place));
    }

    fn spill_drop(&mut self) {
        if self.passing.aside.is_empty() {
            return;
        }
        let at = self.random.index(self.passing.aside.len());
        let id = self.passing.aside.keys().nth(at).copied();
        let id = id.expect("it is there");
        let bytes = self.passing.aside.remove(&id).expect("it is there");
        self.passing.dropped.insert(id, bytes);
        self.life().log.spill_drop(SHARD, id);
    }

    fn begin_body(&mut self) {
        let ended = Place::new();
        let writer = Arc::new(Writes(ended.twin())) as Arc<dyn BodyWriter>;
        let is_durable = self.random.chance(70);
        let body = self.life().log.bodies().begin(is_durable, writer);
        let bytes = self.content(150_000);
        let mut left: Vec<Vec<u8>> = bytes.chunks(BODY_BLOCK_BYTES).map(<[u8]>::to_vec).collect();
        left.reverse();
        assert!(
            self.model.bodies.insert(body, bytes).is_none(),
            "a body's id is given twice"
        );
        self.passing.uploads.push(Upload {
            body,
            left,
            is_finished: false,
            ended,
        });
    }

    /// Goes on with an upload, or gives it up.
    fn write_body(&mut self) {
        if self.passing.uploads.is_empty() {
            return;
        }
        let at = self.random.index(self.passing.uploads.len());
        let mut upload = self.passing.uploads.swap_remove(at);
        let bodies = Arc::clone(self.life().log.bodies());
        match upload.ended.take() {
            Some(Ok(())) => {
                assert!(upload.is_finished);
                self.passing.whole.push(upload.body);
                return;
            }
            Some(Err(error)) => {
                assert!(
                    error != BodyError::Damaged && self.disk.struck() > 0,
                    "{error}"
                );
                return bodies.release(upload.body);
            }
            None => {}
        }
        if self.random.chance(5) {
            return bodies.release(upload.body);
        }
        let blocks = 1 + self.random.index(4);
        for _ in 0..blocks {
            if let Some(block) = upload.left.pop() {
                bodies.append(upload.body, block);
            } else if !upload.is_finished {
                upload.is_finished = true;
                bodies.finish(upload.body);
            }
        }
        self.passing.uploads.push(upload);
    }

    /// Publishes a message with a body that is whole.
    fn publish_body(&mut self) {
        let Some(body) = self.passing.whole.pop() else {
            return;
        };
        self.passing.handles.push(body);
        let queues: Vec<_> = self.model.queues.iter().copied().take(2).collect();
        if queues.is_empty() {
            return;
        }
        let bytes = self.model.bodies[&body].len() as u64;
        let file = BodyFields::File { id: body, bytes };
        let record = self.publish_of(&queues, file);
        self.append(false, vec![record]);
    }

    fn release_body(&mut self) {
        if !self.passing.handles.is_empty() {
            let at = self.random.index(self.passing.handles.len());
            let body = self.passing.handles.swap_remove(at);
            self.life().log.bodies().release(body);
        }
    }
}
