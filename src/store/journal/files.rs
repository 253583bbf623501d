//! Which records name the files of large bodies.

use std::collections::HashMap;

use crate::core::log::bodies::BodyId;

use crate::store::format::BodyFact;

/// The living publishes whose body is in a file, and the files that none of them names any more.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// By the number of the publish.
    publishes: HashMap<u64, BodyFact>,
    /// Publishes that name a file: a dead letter of a message that the log did not have names that message's.
    names: HashMap<BodyId, u32>,
    /// Files that were named and nobody was told of.
    fresh: Vec<BodyId>,
    /// Files that nothing names any more, and the number of the record that ended the last that did.
    ended: Vec<(u64, BodyId)>,
}

impl Files {
    /// A publish was appended, or met by a start, which may meet it twice.
    pub(super) fn add(&mut self, number: u64, body: BodyFact) {
        if self.publishes.insert(number, body).is_none() {
            *self.names.entry(body.file).or_default() += 1;
            self.fresh.push(body.file);
        }
    }

    /// A publish has no reference any more, because of record `by`.
    pub(super) fn end(&mut self, number: u64, by: u64) {
        if self.publishes.is_empty() {
            return;
        }
        let Some(BodyFact { file, .. }) = self.publishes.remove(&number) else {
            return;
        };
        if let Some(names) = self.names.get_mut(&file) {
            *names -= 1;
            if *names == 0 {
                self.names.remove(&file);
                self.ended.push((by, file));
            }
        }
    }

    /// Takes the files that were named since the last call; true if there were any.
    pub(super) fn take_named(&mut self, into: &mut Vec<BodyId>) -> bool {
        into.append(&mut self.fresh);
        !into.is_empty()
    }

    /// Takes a file that nothing names any more, once what ended that is durable.
    pub(super) fn take_ended(&mut self, durable: u64) -> Option<BodyId> {
        while let Some(at) = self.ended.iter().position(|(by, _)| *by <= durable) {
            let (_, file) = self.ended.swap_remove(at);
            if !self.names.contains_key(&file) {
                return Some(file);
            }
        }
        None
    }

    /// Every living publish whose body is in a file, and that body.
    pub(super) fn publishes(&self) -> impl Iterator<Item = (u64, BodyFact)> {
        self.publishes.iter().map(|(number, body)| (*number, *body))
    }

    /// Whether a publish lives whose body is in this file.
    pub(super) fn is_named_by(&self, number: u64, file: BodyId) -> bool {
        let body = self.publishes.get(&number);
        body.is_some_and(|body| body.file == file)
    }

    /// Every file that is named, and the length of its body.
    pub(super) fn all(&self) -> HashMap<BodyId, u64> {
        let named = self.publishes.values();
        named.map(|body| (body.file, body.bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(id: u64) -> BodyFact {
        BodyFact {
            file: BodyId(id),
            bytes: 9,
        }
    }

    #[test]
    fn a_file_ends_with_its_publish_and_once_that_is_durable() {
        let mut files = Files::default();
        files.add(1, body(7));
        files.end(2, 3);
        assert_eq!(files.take_ended(u64::MAX), None);
        files.end(1, 4);
        assert_eq!(files.take_ended(3), None);
        assert_eq!(files.take_ended(4), Some(BodyId(7)));
        assert_eq!(files.take_ended(4), None);
    }

    #[test]
    fn a_file_that_another_publish_names_stays() {
        let mut files = Files::default();
        files.add(1, body(7));
        files.end(1, 2);
        files.add(3, body(7));
        assert_eq!(files.take_ended(9), None);
        assert_eq!(files.all(), HashMap::from([(BodyId(7), 9)]));
        files.end(3, 4);
        assert_eq!(files.take_ended(9), Some(BodyId(7)));
    }

    #[test]
    fn a_publish_that_a_start_meets_twice_names_its_file_once() {
        let mut files = Files::default();
        files.add(1, body(7));
        files.add(1, body(7));
        let mut named = Vec::new();
        assert!(files.take_named(&mut named));
        assert_eq!(named, [BodyId(7)]);
        files.end(1, 2);
        assert_eq!(files.take_ended(2), Some(BodyId(7)));
    }
}
