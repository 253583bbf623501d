//! What names a binding: its key, its arguments, its destination.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

use crate::core::model::value::Value;

/// Arguments of a binding. Order does not tell two lists apart: names are sorted, as RabbitMQ sorts the
/// table before it compares, and numbers of different types differ.
///
/// Most bindings have none, and that takes one word. Cheap to clone.
#[derive(Clone, Default)]
pub struct BindingArguments(Option<Arc<Named>>);

struct Named {
    values: Box<[(Box<str>, Value)]>,
    /// INVARIANT: `values` as JSON. Values have no order of their own (floats), their text has.
    text: Box<[u8]>,
}

impl BindingArguments {
    /// Arguments as a door gives them; of equal names the order stays.
    pub fn new(mut values: Vec<(Box<str>, Value)>) -> Self {
        if values.is_empty() {
            return Self(None);
        }
        values.sort_by(|(a, _), (b, _)| a.cmp(b));
        // Only a map with keys that are no text could fail, and a Value has none.
        let text = serde_json::to_vec(&values).unwrap_or_default();
        Self(Some(Arc::new(Named {
            values: values.into(),
            text: text.into(),
        })))
    }

    /// Names and values, sorted by name.
    pub fn values(&self) -> &[(Box<str>, Value)] {
        self.0.as_ref().map_or(&[], |named| &*named.values)
    }

    /// The first argument of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values()
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, value)| value)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn text(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |named| &*named.text)
    }
}

impl fmt::Debug for BindingArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.values()).finish()
    }
}

impl PartialEq for BindingArguments {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Eq for BindingArguments {}

impl PartialOrd for BindingArguments {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BindingArguments {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text().cmp(other.text())
    }
}

impl Serialize for BindingArguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.values().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for BindingArguments {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::new)
    }
}

/// One binding of an exchange.
///
/// INVARIANT: sorts by destination first, so that all bindings of one lie together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Binding<D> {
    /// Where it leads.
    pub destination: D,
    /// The routing key or filter, as its door wrote it.
    pub key: Box<[u8]>,
    /// Its arguments.
    pub arguments: BindingArguments,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(values: &[(&str, Value)]) -> BindingArguments {
        BindingArguments::new(
            values
                .iter()
                .map(|(n, v)| ((*n).into(), v.clone()))
                .collect(),
        )
    }

    #[test]
    fn arguments_are_compared_by_name_type_and_value_and_not_by_order() {
        let one = arguments(&[("a", Value::I32(1)), ("b", Value::Null)]);
        assert_eq!(one, arguments(&[("b", Value::Null), ("a", Value::I32(1))]));
        assert_ne!(one, arguments(&[("b", Value::Null), ("a", Value::I64(1))]));
        assert_ne!(one, BindingArguments::default());
        assert_eq!(BindingArguments::default(), arguments(&[]));
    }

    #[test]
    fn arguments_come_back_from_the_catalog_as_they_went() {
        let one = arguments(&[
            ("nan", Value::F64(f64::NAN)),
            ("low", Value::F32(f32::NEG_INFINITY)),
            ("third", Value::F64(1.0 / 3.0)),
            ("odd", Value::F64(5e-324)),
            (
                "list",
                Value::List(vec![Value::U64(u64::MAX), Value::Bool(true)]),
            ),
            ("raw", Value::Bytes(bytes::Bytes::from_static(&[0, 255]))),
        ]);
        let text = serde_json::to_string(&one).unwrap();
        assert_eq!(
            serde_json::from_str::<BindingArguments>(&text).unwrap(),
            one
        );
    }
}
