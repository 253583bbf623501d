//! Which records name the files of large bodies.

use std::collections::HashMap;

use crate::core::log::bodies::BodyId;
use crate::core::log::record::BodyFields;
use crate::core::log::record::Publish;

/// The publishes whose body is in a file, and the files that none of them names any more.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// By the number of the publish.
    publishes: HashMap<u64, Named>,
    /// Publishes that name a file: a dead letter of a message that the log did not have names that message's.
    names: HashMap<BodyId, u32>,
    /// Files that were named and nobody was told of.
    fresh: Vec<BodyId>,
    /// Files that nothing names any more, and the number of the record that ended the last that did.
    ended: Vec<(u64, BodyId)>,
}

#[derive(Debug)]
struct Named {
    file: BodyId,
    bytes: u64,
    /// References to the publish.
    references: u64,
}

impl Files {
    /// A publish was appended or replayed.
    pub(super) fn add(&mut self, number: u64, publish: &Publish<'_>) {
        let BodyFields::File { id, bytes } = publish.message.body else {
            return;
        };
        let named = Named {
            file: id,
            bytes,
            references: u64::try_from(publish.entries.len()).unwrap_or(u64::MAX),
        };
        self.publishes.insert(number, named);
        *self.names.entry(id).or_default() += 1;
        self.fresh.push(id);
    }

    /// A publish got more references.
    pub(super) fn retain(&mut self, number: u64, references: u32) {
        if self.publishes.is_empty() {
            return;
        }
        if let Some(named) = self.publishes.get_mut(&number) {
            named.references += u64::from(references);
        }
    }

    /// A publish lost a reference because of record `by`.
    pub(super) fn release(&mut self, number: u64, by: u64) {
        if self.publishes.is_empty() {
            return;
        }
        let Some(named) = self.publishes.get_mut(&number) else {
            return;
        };
        named.references = named.references.saturating_sub(1);
        if named.references == 0 {
            self.end(number, by);
        }
    }

    /// A publish has no reference any more, because of record `by`.
    fn end(&mut self, number: u64, by: u64) {
        let Some(Named { file, .. }) = self.publishes.remove(&number) else {
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

    /// Every file that is named, and the length of its body.
    pub(super) fn all(&self) -> HashMap<BodyId, u64> {
        let named = self.publishes.values();
        named.map(|named| (named.file, named.bytes)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use crate::core::log::record::EntryFields;
    use crate::core::log::record::MessageFields;
    use crate::core::model::ids::QueueId;

    use super::*;

    fn publish(id: u64, queues: u64) -> Publish<'static> {
        let body = BodyFields::File {
            id: BodyId(id),
            bytes: 9,
        };
        Publish {
            message: MessageFields {
                body,
                ..MessageFields::default()
            },
            entries: Cow::Owned(
                (0..queues)
                    .map(|q| EntryFields::plain(QueueId(q)))
                    .collect(),
            ),
            elidable: true,
        }
    }

    #[test]
    fn a_file_ends_with_the_last_reference_and_once_that_is_durable() {
        let mut files = Files::default();
        files.add(1, &publish(7, 2));
        files.retain(1, 1);
        for by in [2, 3, 4] {
            assert_eq!(files.take_ended(u64::MAX), None);
            files.release(1, by);
        }
        assert_eq!(files.take_ended(3), None);
        assert_eq!(files.take_ended(4), Some(BodyId(7)));
        assert_eq!(files.take_ended(4), None);
    }

    #[test]
    fn a_file_that_another_publish_names_stays() {
        let mut files = Files::default();
        files.add(1, &publish(7, 1));
        files.release(1, 2);
        files.add(3, &publish(7, 1));
        assert_eq!(files.take_ended(9), None);
        assert_eq!(files.all(), HashMap::from([(BodyId(7), 9)]));
        files.release(3, 4);
        assert_eq!(files.take_ended(9), Some(BodyId(7)));
    }
}
