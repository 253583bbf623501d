//! Where a queue's dead letters go.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use crate::core::model::overlay::Cause;
use crate::core::queue::settings::DeadLetterTarget;

/// A target by cause.
///
/// Most queues have none, and those that have mostly send every cause to the same: there is one in each of a hundred
/// thousand queues, where a tree of them took 800 bytes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadLetters(Box<[(Cause, Arc<DeadLetterTarget>)]>);

impl DeadLetters {
    /// Where letters of this cause go.
    pub fn get(&self, cause: &Cause) -> Option<&DeadLetterTarget> {
        let found = self.0.iter().find(|(one, _)| one == cause);
        found.map(|(_, target)| &**target)
    }

    /// Whether they go anywhere.
    pub fn contains_key(&self, cause: &Cause) -> bool {
        self.get(cause).is_some()
    }

    /// Every target, in the order of their causes.
    pub fn values(&self) -> impl Iterator<Item = &DeadLetterTarget> {
        self.0.iter().map(|(_, target)| &**target)
    }

    /// Sends letters of this cause there from now on.
    pub fn insert(&mut self, cause: Cause, target: DeadLetterTarget) {
        let others = self.iter().filter(|(one, _)| *one != cause);
        *self = others.chain([(cause, target)]).collect();
    }

    /// Letters of this cause go nowhere from now on.
    pub fn remove(&mut self, cause: &Cause) {
        *self = self.iter().filter(|(one, _)| one != cause).collect();
    }

    fn iter(&self) -> impl Iterator<Item = (Cause, DeadLetterTarget)> {
        let all = self.0.iter();
        all.map(|(cause, target)| (*cause, DeadLetterTarget::clone(target)))
    }
}

impl FromIterator<(Cause, DeadLetterTarget)> for DeadLetters {
    /// Of several targets of a cause the last one counts.
    fn from_iter<T: IntoIterator<Item = (Cause, DeadLetterTarget)>>(targets: T) -> Self {
        let sorted: BTreeMap<Cause, DeadLetterTarget> = targets.into_iter().collect();
        let mut shared: Vec<(Cause, Arc<DeadLetterTarget>)> = Vec::with_capacity(sorted.len());
        for (cause, target) in sorted {
            let same = shared.iter().find(|(_, known)| **known == target);
            let target = same.map_or_else(|| Arc::new(target), |(_, known)| Arc::clone(known));
            shared.push((cause, target));
        }
        Self(shared.into())
    }
}

impl<const N: usize> From<[(Cause, DeadLetterTarget); N]> for DeadLetters {
    fn from(targets: [(Cause, DeadLetterTarget); N]) -> Self {
        targets.into_iter().collect()
    }
}

impl Serialize for DeadLetters {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(cause, target)| (cause, &**target)))
    }
}

impl<'de> Deserialize<'de> for DeadLetters {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let targets = BTreeMap::<Cause, DeadLetterTarget>::deserialize(from)?;
        Ok(targets.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> DeadLetterTarget {
        DeadLetterTarget::Queue(name.to_owned())
    }

    #[test]
    fn it_is_a_map_whose_equal_targets_are_one() {
        let mut letters = DeadLetters::from([
            (Cause::Rejected, queue("a")),
            (Cause::Expired, queue("a")),
            (Cause::MaxLength, queue("b")),
        ]);
        let [(_, first), (_, second), (_, third)] = &*letters.0 else {
            panic!("three");
        };
        assert!(Arc::ptr_eq(first, second) && !Arc::ptr_eq(first, third));
        letters.insert(Cause::Expired, queue("c"));
        letters.remove(&Cause::MaxLength);
        assert_eq!(letters.get(&Cause::Rejected), Some(&queue("a")));
        assert_eq!(letters.get(&Cause::Expired), Some(&queue("c")));
        assert!(!letters.contains_key(&Cause::MaxLength));
        assert_eq!(letters.values().count(), 2);
    }

    #[test]
    fn its_json_is_that_of_a_map() {
        let map = BTreeMap::from([(Cause::Rejected, queue("a")), (Cause::TooLarge, queue("a"))]);
        let text = serde_json::to_string(&map).expect("prints");
        let letters: DeadLetters = map.into_iter().collect();
        assert_eq!(serde_json::to_string(&letters).expect("prints"), text);
        let read: DeadLetters = serde_json::from_str(&text).expect("reads");
        assert_eq!(read, letters);
    }
}
