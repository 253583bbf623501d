//! Keys of core's own kinds, and what stands under them.

use serde::Deserialize;
use serde::Serialize;

use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::queue::settings::QueueSettings;
use crate::core::route::binding::BindingArguments;
use crate::core::route::exchange::ExchangeSettings;

/// Value of `vhost/<name>`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct VhostValue {
    pub(in crate::core) name: VhostName,
    pub(in crate::core) shard: Shard,
}

/// Value of `queue/<id>`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct QueueValue {
    pub(in crate::core) id: QueueId,
    pub(in crate::core) vhost: VhostName,
    pub(in crate::core) name: QueueName,
    /// The number of a record that was on disk when the queue was declared; 0 = not known.
    #[serde(default)]
    pub(in crate::core) since: u64,
    pub(in crate::core) settings: QueueSettings,
}

/// A queue as the catalog names it, for whoever looks at a data dir without a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQueue {
    /// Its id.
    pub id: QueueId,
    /// Its virtual host.
    pub vhost: VhostName,
    /// Its name.
    pub name: QueueName,
}

impl NamedQueue {
    /// Reads a key and its value; none if it is no queue's, or cannot be read.
    pub fn of_catalog(key: &str, value: &[u8]) -> Option<Self> {
        Self::id_of_key(key)?;
        let QueueValue {
            id, vhost, name, ..
        } = parse(value).ok()?;
        Some(Self { id, vhost, name })
    }

    /// The queue that a key is about.
    pub fn id_of_key(key: &str) -> Option<QueueId> {
        key.strip_prefix("queue/")?.parse().ok().map(QueueId)
    }
}

/// Value of `exchange/<vhost>\0<name>`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct ExchangeValue {
    pub(in crate::core) vhost: VhostName,
    pub(in crate::core) name: ExchangeName,
    pub(in crate::core) settings: ExchangeSettings,
}

/// A binding: what its key has after `binding/`. The value is empty, for it would only say it again; earlier versions
/// wrote it all the same, so nothing reads it.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct BindingValue {
    pub(in crate::core) vhost: VhostName,
    pub(in crate::core) exchange: ExchangeName,
    pub(in crate::core) queue: QueueId,
    /// A text where it is one, which nearly all are; else a list of numbers.
    #[serde(with = "text_or_bytes")]
    pub(in crate::core) key: Vec<u8>,
    pub(in crate::core) arguments: BindingArguments,
}

/// A binding as earlier versions named it: with a list of numbers for every key, four bytes for each of its own.
#[derive(Serialize)]
struct EarlierBinding<'a> {
    vhost: &'a VhostName,
    exchange: &'a ExchangeName,
    queue: QueueId,
    key: &'a [u8],
    arguments: &'a BindingArguments,
}

/// What every binding's key begins with.
pub(in crate::core) const BINDING: &str = "binding/";

pub(in crate::core) fn vhost_key(name: &VhostName) -> String {
    format!("vhost/{name}")
}

pub(in crate::core) fn queue_key(id: QueueId) -> String {
    format!("queue/{}", id.0)
}

pub(in crate::core) fn exchange_key(vhost: &VhostName, name: &ExchangeName) -> String {
    format!("exchange/{vhost}\0{name}")
}

pub(in crate::core) fn binding_key(value: &BindingValue) -> String {
    format!("{BINDING}{}", json_text(value))
}

/// The names under which a binding may stand that is undone: its own, and the one that an earlier version gave it.
pub(in crate::core) fn binding_keys(value: &BindingValue) -> impl Iterator<Item = String> + use<> {
    let key = binding_key(value);
    let earlier = EarlierBinding {
        vhost: &value.vhost,
        exchange: &value.exchange,
        queue: value.queue,
        key: &value.key,
        arguments: &value.arguments,
    };
    let earlier = format!("{BINDING}{}", json_text(&earlier));
    let other = (earlier != key).then_some(earlier);
    std::iter::once(key).chain(other)
}

/// Reads what [`binding_key`] wrote, in any version.
pub(in crate::core) fn parse_binding(key: &str) -> serde_json::Result<BindingValue> {
    parse(key.strip_prefix(BINDING).unwrap_or_default().as_bytes())
}

/// Whether a key is one of core's own: other layers keep theirs beside them.
pub(in crate::core) fn is_core_key(key: &str) -> bool {
    ["vhost/", "queue/", "exchange/", "suspect/", BINDING]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

/// Reads what [`json`] wrote. Without a limit of levels: clients' tables are nested, and were checked when
/// they came in.
pub(in crate::core) fn parse<T: serde::de::DeserializeOwned>(
    value: &[u8],
) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(value);
    reader.disable_recursion_limit();
    T::deserialize(&mut reader)
}

/// JSON of a catalog value.
pub(in crate::core) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("catalog values are maps with text keys and cannot fail to print")
}

fn json_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("catalog values are maps with text keys and cannot fail to print")
}

/// Bytes as a JSON text if they are one.
mod text_or_bytes {
    use std::fmt;

    use serde::Deserializer;
    use serde::Serialize;
    use serde::Serializer;
    use serde::de::SeqAccess;
    use serde::de::Visitor;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => to.serialize_str(text),
            Err(_) => bytes.serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        from.deserialize_any(Either)
    }

    struct Either;

    impl<'de> Visitor<'de> for Either {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a list of bytes")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<u8>, E> {
            Ok(text.as_bytes().to_vec())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = list.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(key: &[u8]) -> BindingValue {
        BindingValue {
            vhost: VhostName::parse("/").expect("a name"),
            exchange: ExchangeName::parse("amq.topic").expect("a name"),
            queue: QueueId(7),
            key: key.to_vec(),
            arguments: BindingArguments::default(),
        }
    }

    #[test]
    fn a_binding_is_named_by_its_text_and_read_under_any_name_that_it_ever_had() {
        let earlier = r#"binding/{"vhost":"/","exchange":"amq.topic","queue":7,"key":[97,46,34],"arguments":[]}"#;
        let now =
            r#"binding/{"vhost":"/","exchange":"amq.topic","queue":7,"key":"a.\"","arguments":[]}"#;
        let value = binding(b"a.\"");
        assert_eq!(binding_key(&value), now);
        assert_eq!(binding_keys(&value).collect::<Vec<_>>(), [now, earlier]);
        for name in [now, earlier] {
            let read = parse_binding(name).expect("a binding");
            assert_eq!(
                (read.key.as_slice(), read.queue),
                (&b"a.\""[..], QueueId(7))
            );
        }
        // No text: there was never another name.
        let bytes = binding(&[0xff, 0]);
        let names: Vec<_> = binding_keys(&bytes).collect();
        assert_eq!(names.len(), 1);
        assert_eq!(parse_binding(&names[0]).expect("a binding").key, [0xff, 0]);
    }
}
