//! What has to be true: of a start, and of what the store answers.

use std::collections::BTreeSet;
use std::path::Path;

use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::BodyId;
use crate::core::log::read::ReadError;
use crate::core::log::record::Record;
use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;

use crate::store::embedded::disk::Disk;

use super::life::DIR;
use super::life::SEGMENT_BYTES;
use super::model::Heard;
use super::model::SHARD;
use super::readers::Answer;
use super::readers::Block;
use super::readers::Messages;
use super::readers::Place;
use super::readers::comparable;
use super::world::World;

impl World {
    /// A start told what it was told before, no more and no less. Returns the number of the last record.
    pub(super) fn check_heard(&mut self, heard: Heard, scanned: &Scanned) -> u64 {
        assert_eq!(scanned.holes, [], "nothing is damaged");
        let last = self.model.last();
        let expected = self.model.expected(last);
        let catalog = |heard: &Heard| {
            let rows = heard.catalog.iter();
            rows.map(|(key, value)| {
                (
                    key.clone(),
                    String::from_utf8_lossy(value)
                        .chars()
                        .take(9)
                        .collect::<String>(),
                )
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(catalog(&heard), catalog(&expected), "the catalog");
        let order = heard.entries.iter().map(|told| told.entry.entry);
        assert!(order.is_sorted(), "entries are told in order");
        let name = |lsn: Lsn, queue| (lsn, queue);
        let mut told = heard.entries.clone();
        told.retain(|told| heard.has(told.fields.queue));
        told.sort_by_key(|told| name(told.entry.entry, told.fields.queue));
        let mut void = BTreeSet::new();
        let mut rest = told.iter().peekable();
        for wanted in &expected.entries {
            if rest.next_if_eq(&wanted).is_some() {
                continue;
            }
            let message = wanted.entry.message;
            let may_lack = wanted.entry.entry == message && self.model.may_be_elided(message);
            assert!(
                may_lack,
                "{wanted:?} is not told; next is {:?}",
                rest.peek()
            );
            void.insert(message);
            void.extend(
                (1..=u64::from(wanted.chunks))
                    .filter_map(|n| Lsn::new(SHARD, message.number() - n)),
            );
        }
        assert_eq!(rest.next(), None, "it is told, and should not be");
        self.saw("messages elided", void.len() as u64);
        self.model.restart(&told, &void, &heard.catalog);
        // Over a torn frame a tombstone is written.
        let after = scanned.last.map_or(0, Lsn::number);
        assert!((last..=last + 1).contains(&after), "{after} after {last}");
        self.model.cut(after);
        self.saw("torn tails", after - last);
        self.saw("entries told", told.len() as u64);
        last
    }

    /// What was told can be read, and nothing else holds anything.
    pub(super) fn check_start(&mut self) {
        let now = self.now;
        let life = self.life.as_mut().expect("it runs");
        life.run(&["viaduct-bodies", "viaduct-body-reads"], now);
        let absorbed = life.log.shared.checkpoints.lock().saved();
        self.first_serial = absorbed.map_or(0, |saved| saved.serial);
        self.absorbed = absorbed.map_or(0, |saved| saved.catalog);
        self.offered = self.absorbed;
        let references = life.log.space().references;
        assert_eq!(references, self.model.references(), "references");
        self.check_files();
        self.read_everything();
    }

    /// Every message that an entry needs is read back.
    pub(super) fn read_everything(&mut self) {
        let messages: BTreeSet<Lsn> = self.model.held.values().map(|held| held.message).collect();
        let messages: Vec<Lsn> = messages.into_iter().collect();
        let now = self.now;
        for some in messages.chunks(50) {
            let place = Place::new();
            let life = self.life.as_mut().expect("it runs");
            life.log
                .read(SHARD, some.to_vec(), Messages::reader(&place));
            life.run(&["viaduct-reader"], now);
            let answer = place.take().expect("nothing else has to be done");
            self.check_answer(some, &answer);
        }
    }

    /// The log takes no more room than it may, after a quiet minute.
    pub(super) fn check_room(&self) {
        let bytes = self.life().log.space().log_bytes;
        let live = self.model.live_bytes();
        let allowed = live * 5 / 2 + 8 * SEGMENT_BYTES;
        let spans = self.life().log.shared.log.lock().journal.spans();
        assert!(
            bytes <= allowed,
            "{bytes} bytes for {live} that live: {spans:?}"
        );
    }

    /// Takes the answers that came.
    pub(super) fn hear_answers(&mut self) {
        let asked = std::mem::take(&mut self.passing.asked);
        for (lsns, place) in asked {
            match place.take() {
                Some(answer) => {
                    self.check_answer(&lsns, &answer);
                    self.saw("messages read back", answer.messages.len() as u64);
                }
                None => self.passing.asked.push((lsns, place)),
            }
        }
        let recalled = std::mem::take(&mut self.passing.recalled);
        for (id, place) in recalled {
            let aside = self.passing.aside.get(&id);
            match place.take() {
                None => self.passing.recalled.push((id, place)),
                Some(Ok(bytes)) => {
                    let wanted = aside.or(self.passing.dropped.get(&id));
                    assert!(Some(&bytes.to_vec()) == wanted, "what was put aside");
                    self.saw("blobs read back", 1);
                }
                Some(Err(error)) => {
                    let may_fail = aside.is_none() || self.may_fail(error);
                    assert!(may_fail, "what was put aside: {error}");
                }
            }
        }
    }

    fn may_fail(&self, error: ReadError) -> bool {
        match error {
            ReadError::Io => self.disk.struck() > 0,
            ReadError::Closed => self.life().log.shared.is_closed(),
            ReadError::NotThere | ReadError::Damaged => false,
        }
    }

    fn check_answer(&self, asked: &[Lsn], answer: &Answer) {
        let mut lsns: Vec<Lsn> = answer.messages.iter().map(|(lsn, _)| *lsn).collect();
        assert!(lsns.is_sorted(), "messages come in order");
        lsns.extend(answer.unread.iter().map(|(lsn, _)| *lsn));
        lsns.sort_unstable();
        assert_eq!(lsns, asked, "each is answered once");
        self.check_messages(answer);
        for (lsn, error) in &answer.unread {
            let may_fail = !self.model.has_message(*lsn) || self.may_fail(*error);
            assert!(may_fail, "message {lsn} lives: {error}");
        }
    }

    /// What was read is what was written.
    pub(super) fn check_messages(&self, answer: &Answer) {
        for (lsn, (fields, chunks)) in &answer.messages {
            let (record, body) = self.model.message(*lsn);
            let Record::Publish(publish) = record else {
                panic!("a message is no publish");
            };
            assert_eq!(*fields, comparable(&publish.message), "message {lsn}");
            assert!(chunks.is_empty() || *chunks == body, "body of {lsn}");
        }
    }

    /// After a start there are the bodies that messages name, and no others; they are what was written.
    fn check_files(&mut self) {
        let named = self.model.named_bodies();
        let folder = Path::new(DIR).join("big");
        let files = self.disk.names(&folder).expect("a directory");
        let names: Vec<String> = named
            .keys()
            .map(|body| format!("{:016x}", body.0))
            .collect();
        assert_eq!(files, names, "files of bodies");
        for (body, bytes) in named {
            self.saw("bodies read back", 1);
            self.read_body(body, bytes);
        }
    }

    /// Reads a body that a record names.
    pub(super) fn read_body(&mut self, body: BodyId, bytes: u64) {
        let now = self.now;
        let life = self.life.as_mut().expect("it runs");
        let bodies = std::sync::Arc::clone(life.log.bodies());
        let wanted = &self.model.bodies[&body];
        assert_eq!(wanted.len() as u64, bytes);
        bodies.open(body);
        for (block, part) in wanted.chunks(BODY_BLOCK_BYTES).enumerate() {
            let place = Place::new();
            bodies.read(
                body,
                bytes,
                block as u64,
                std::sync::Arc::new(Block(place.twin())),
            );
            life.run(&["viaduct-body-reads"], now);
            match place.take().expect("it is answered") {
                Ok(read) => assert!(read == part, "block {block} of {body:?}"),
                Err(error) => assert!(self.disk.struck() > 0, "{body:?}: {error}"),
            }
        }
        bodies.release(body);
    }

    /// Goes on with the checkpoint of the catalog that is being made.
    pub(super) fn finish_checkpoint(&mut self) {
        let Some((upto, mut making)) = self.passing.making.take() else {
            return;
        };
        let shared = std::sync::Arc::clone(&self.life().log.shared);
        let mut checkpoints = shared.checkpoints.lock();
        match making.finish(&shared, &mut checkpoints) {
            Ok(true) => {
                self.say(|| format!("the catalog is saved up to {upto}"));
                self.absorbed = upto;
            }
            Ok(false) => self.passing.making = Some((upto, making)),
            Err(error) => assert!(self.disk.struck() > 0, "a checkpoint: {error:?}"),
        }
    }
}
