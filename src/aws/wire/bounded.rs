//! JSON into a value with a bounded number of parts.
//!
//! A value takes far more memory than its text: `[0,0,0…` grows sixteenfold. So parts are counted while
//! they are read, not afterwards.

use std::cell::Cell;
use std::fmt;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;

/// Parses a text that has at most `most` values, lists and objects included.
///
/// # Errors
/// It is not JSON, or has more.
pub(super) fn parse(text: &[u8], most: usize) -> Result<Value, serde_json::Error> {
    let left = Cell::new(most);
    let mut source = serde_json::Deserializer::from_slice(text);
    let value = Part { left: &left }.deserialize(&mut source)?;
    source.end()?;
    Ok(value)
}

/// One value, and how many more there may be.
#[derive(Clone, Copy)]
struct Part<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left
            .set(left.ok_or_else(|| D::Error::custom("it has too many values"))?);
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            object.insert(name, members.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_of_values_is_bounded_and_the_bound_inclusive() {
        let text = b"{\"a\": [1, {}, null]}";
        assert!(parse(text, 5).is_ok());
        let error = parse(text, 4).unwrap_err();
        assert!(error.to_string().starts_with("it has too many values"));
        assert!(parse("[".repeat(100_000).as_bytes(), usize::MAX).is_err());
    }

    proptest! {
        #[test]
        fn it_reads_what_the_plain_parser_reads(text in "[\\[\\]{}\":,a0-9.\\-enult ]{0,24}") {
            let plain: Option<Value> = serde_json::from_str(&text).ok();
            prop_assert_eq!(parse(text.as_bytes(), usize::MAX).ok(), plain);
        }
    }
}
