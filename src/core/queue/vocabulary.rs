//! What each door was told of a queue, in the door's own words.

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

/// JSON by door: opaque to core, kept for equivalence and for showing.
///
/// As text, because it is mostly at rest and there is one in every queue: a tree of maps takes 600 bytes a level.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary(Vec<(Box<str>, Box<RawValue>)>);

impl Vocabulary {
    /// What `door` was told; none when that is nothing, or nothing that has this shape.
    pub fn get<'a, T: Deserialize<'a>>(&'a self, door: &str) -> Option<T> {
        let mut reader = serde_json::Deserializer::from_str(self.text(door)?);
        // Clients' tables are nested, and were checked when they came in.
        reader.disable_recursion_limit();
        T::deserialize(&mut reader).ok()
    }

    /// Says what `door` is told from now on. Something that has no JSON form changes nothing; doors' words all have one.
    pub fn insert(&mut self, door: &str, told: &impl Serialize) {
        if let Ok(told) = serde_json::value::to_raw_value(told) {
            self.put(door.into(), told);
        }
    }

    fn put(&mut self, door: Box<str>, told: Box<RawValue>) {
        match self.0.iter_mut().find(|(name, _)| *name == door) {
            Some((_, kept)) => *kept = told,
            None => {
                // Most queues know one door.
                self.0.reserve_exact(1);
                self.0.push((door, told));
            }
        }
    }

    fn text(&self, door: &str) -> Option<&str> {
        let (_, told) = self.0.iter().find(|(name, _)| &**name == door)?;
        Some(told.get())
    }
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self
                .0
                .iter()
                .all(|(door, told)| other.text(door) == Some(told.get()))
    }
}

impl Serialize for Vocabulary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (door, told) in &self.0 {
            map.serialize_entry(door, told)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Doors)
    }
}

struct Doors;

impl<'de> Visitor<'de> for Doors {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map of doors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::default();
        while let Some((door, told)) = map.next_entry()? {
            vocabulary.put(door, told);
        }
        Ok(vocabulary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_gets_back_what_it_said_last_and_the_catalog_has_it_as_a_map() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.insert("one", &[1, 2]);
        vocabulary.insert("two", &"words");
        vocabulary.insert("one", &[3]);
        assert_eq!(vocabulary.get::<Vec<u8>>("one"), Some(vec![3]));
        assert_eq!(vocabulary.get::<Vec<u8>>("two"), None, "of another shape");
        assert_eq!(vocabulary.get::<&str>("two"), Some("words"));
        assert_eq!(vocabulary.get::<u8>("three"), None);
        let text = serde_json::to_string(&vocabulary).unwrap();
        assert_eq!(text, r#"{"one":[3],"two":"words"}"#);
        let mut back: Vocabulary =
            serde_json::from_str(r#"{ "two": "words", "one": [3] }"#).unwrap();
        assert_eq!(back, vocabulary, "whatever the order");
        back.insert("three", &());
        assert_ne!(back, vocabulary);
    }
}
