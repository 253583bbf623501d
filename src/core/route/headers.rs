//! The headers exchange: bindings whose arguments match a message's application properties.
//!
//! As RabbitMQ 3.13: `x-match` says whether all or any of the other arguments must match, `all` if it is
//! missing; arguments that start with `x-` are left out unless `x-match` ends in `-with-x`; one without a
//! value asks only whether the property is there. Of a property that repeats the first one counts.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::core::model::value::Properties;
use crate::core::model::value::Value;
use crate::core::route::binding::BindingArguments;
use crate::core::route::destinations::Destinations;

/// Why arguments of a binding cannot be matched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MatchError {
    /// `x-match` is none of the four words.
    #[error("invalid x-match field value '{0}', expected all, any, all-with-x or any-with-x")]
    Word(String),
    /// `x-match` is no text.
    #[error("invalid x-match field type, expected text")]
    Type,
}

/// How the arguments of one binding are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct Matcher {
    /// Whether one match is enough.
    any: bool,
    /// Whether arguments that start with `x-` count too.
    with_x: bool,
}

impl Matcher {
    /// Without `x-match`, all must match.
    const DEFAULT: Self = Self {
        any: false,
        with_x: false,
    };

    /// Reads `x-match`.
    pub(super) fn parse(arguments: &BindingArguments) -> Result<Self, MatchError> {
        let word = match arguments.get("x-match") {
            None => return Ok(Self::DEFAULT),
            Some(Value::Text(word)) => word,
            Some(_) => return Err(MatchError::Type),
        };
        let (any, with_x) = match &**word {
            "all" => (false, false),
            "any" => (true, false),
            "all-with-x" => (false, true),
            "any-with-x" => (true, true),
            other => return Err(MatchError::Word(other.into())),
        };
        Ok(Self { any, with_x })
    }

    fn matches(self, arguments: &BindingArguments, headers: &Headers<'_>) -> bool {
        let mut wanted = arguments.values().iter().filter(|(name, _)| {
            if self.with_x {
                &**name != "x-match"
            } else {
                !name.starts_with("x-")
            }
        });
        let met = |(name, value): &(Box<str>, Value)| {
            headers.get(name).is_some_and(|found| equal(value, found))
        };
        if self.any {
            wanted.any(met)
        } else {
            wanted.all(met)
        }
    }
}

/// The bindings of a headers exchange. Equal arguments are matched once, whatever the number of queues.
#[derive(Debug)]
pub(in crate::core) struct HeadersTable<D>(BTreeMap<BindingArguments, (Matcher, Destinations<D>)>);

impl<D> Default for HeadersTable<D> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<D: Clone + Ord> HeadersTable<D> {
    /// Adds one binding; its key is of no account.
    pub(super) fn insert(&mut self, arguments: &BindingArguments, destination: D) {
        let (_, destinations) = self.0.entry(arguments.clone()).or_insert_with(|| {
            let matcher = Matcher::parse(arguments).unwrap_or(Matcher::DEFAULT);
            (matcher, Destinations::default())
        });
        destinations.add(destination);
    }

    /// Takes one binding away.
    pub(super) fn remove(&mut self, arguments: &BindingArguments, destination: &D) {
        if let Some((_, destinations)) = self.0.get_mut(arguments) {
            destinations.remove(destination);
            if destinations.is_empty() {
                self.0.remove(arguments);
            }
        }
    }

    /// Whether there are no bindings.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends the destinations of every binding that matches; one behind several comes several times.
    pub(super) fn collect(&self, properties: &Properties, out: &mut SmallVec<[D; 4]>) {
        let headers = Headers::new(properties);
        for (arguments, (matcher, destinations)) in &self.0 {
            if matcher.matches(arguments, &headers) {
                destinations.collect(out);
            }
        }
    }
}

/// A message's application properties, sorted for look-ups; the first of equal names.
struct Headers<'a>(SmallVec<[(&'a str, &'a Value); 16]>);

impl<'a> Headers<'a> {
    fn new(properties: &'a Properties) -> Self {
        let mut sorted: SmallVec<[(&str, &Value); 16]> = properties
            .application
            .iter()
            .map(|(name, value)| (&**name, value))
            .collect();
        sorted.sort_by_key(|(name, _)| *name);
        sorted.dedup_by(|(a, _), (b, _)| a == b);
        Self(sorted)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        let at = self.0.binary_search_by(|(n, _)| (*n).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }
}

/// Whether an argument asks for this value. Whole numbers are equal by value whatever their width, and so
/// are floats; a whole number is no float. A number without a type (SQS) may be either.
fn equal(wanted: &Value, found: &Value) -> bool {
    if let Value::Null = wanted {
        return true;
    }
    if let (Some(a), Some(b)) = (whole(wanted), whole(found)) {
        return a == b;
    }
    if let (Some(a), Some(b)) = (float(wanted), float(found)) {
        return a == b;
    }
    wanted == found
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::I8(n) => Some((*n).into()),
        Value::I16(n) => Some((*n).into()),
        Value::I32(n) => Some((*n).into()),
        Value::I64(n) => Some((*n).into()),
        Value::U8(n) => Some((*n).into()),
        Value::U16(n) => Some((*n).into()),
        Value::U32(n) => Some((*n).into()),
        Value::U64(n) => Some((*n).into()),
        Value::Number(text) => text.parse().ok(),
        Value::Null
        | Value::Bool(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::Decimal { .. }
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::F32(n) => Some((*n).into()),
        Value::F64(n) => Some(*n),
        Value::Number(text) => text.parse().ok(),
        Value::Null
        | Value::Bool(_)
        | Value::I8(_)
        | Value::I16(_)
        | Value::I32(_)
        | Value::I64(_)
        | Value::U8(_)
        | Value::U16(_)
        | Value::U32(_)
        | Value::U64(_)
        | Value::Decimal { .. }
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn pairs(values: &[(&str, Value)]) -> Vec<(Box<str>, Value)> {
        values
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect()
    }

    fn matches(arguments: &[(&str, Value)], headers: &[(&str, Value)]) -> bool {
        let properties = Properties {
            application: pairs(headers),
            ..Properties::default()
        };
        let arguments = BindingArguments::new(pairs(arguments));
        Matcher::parse(&arguments)
            .unwrap()
            .matches(&arguments, &Headers::new(&properties))
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn all_is_the_default_and_any_needs_one() {
        let wanted = [("a", text("1")), ("b", text("2"))];
        assert!(!matches(&wanted, &[("a", text("1"))]));
        assert!(matches(
            &wanted,
            &[("b", text("2")), ("c", Value::Null), ("a", text("1"))]
        ));
        let any = [("a", text("1")), ("x-match", text("any")), ("b", text("2"))];
        assert!(matches(&any, &[("a", text("1"))]));
        assert!(!matches(&any, &[("a", text("2"))]));
    }

    #[test]
    fn nothing_wanted_matches_all_and_never_any() {
        assert!(matches(&[], &[]));
        assert!(matches(&[("x-other", text("1"))], &[]));
        assert!(!matches(&[("x-match", text("any"))], &[("a", text("1"))]));
    }

    #[test]
    fn names_with_x_count_only_where_x_match_says_so() {
        let with = |word: &str| [("x-match", text(word)), ("x-a", text("1"))];
        assert!(matches(&with("all"), &[]));
        assert!(!matches(&with("all-with-x"), &[]));
        assert!(matches(&with("all-with-x"), &[("x-a", text("1"))]));
        assert!(!matches(&with("any"), &[("x-a", text("1"))]));
        assert!(matches(&with("any-with-x"), &[("x-a", text("1"))]));
    }

    #[test]
    fn values_are_compared_by_class_and_value() {
        for (wanted, found, expected) in [
            (Value::I8(5), Value::U64(5), true),
            (Value::I64(-1), Value::U64(u64::MAX), false),
            (Value::F32(0.5), Value::F64(0.5), true),
            (Value::I32(1), Value::F64(1.0), false),
            (Value::Null, text("anything"), true),
            (text("anything"), Value::Null, false),
            (Value::I32(12), Value::Number("12".into()), true),
            (Value::F64(1.5), Value::Number("1.50".into()), true),
            (text("12"), Value::Number("12".into()), false),
            (
                text("a"),
                Value::Bytes(bytes::Bytes::from_static(b"a")),
                false,
            ),
            (Value::Timestamp(1), Value::I64(1), false),
            (Value::Bool(true), Value::Bool(true), true),
        ] {
            assert_eq!(equal(&wanted, &found), expected, "{wanted:?} {found:?}");
        }
    }

    #[test]
    fn the_first_of_a_repeated_property_counts() {
        let repeated = [("b", text("0")), ("a", text("1")), ("a", text("2"))];
        assert!(matches(&[("a", text("1"))], &repeated));
        assert!(!matches(&[("a", text("2"))], &repeated));
    }

    #[test]
    fn an_x_match_that_is_no_word_of_these_is_refused() {
        let parse = |value| Matcher::parse(&BindingArguments::new(pairs(&[("x-match", value)])));
        assert_eq!(parse(text("some")), Err(MatchError::Word("some".into())));
        assert_eq!(parse(Value::I32(1)), Err(MatchError::Type));
    }

    fn some_pairs() -> impl Strategy<Value = Vec<(Box<str>, Value)>> {
        let name = prop::sample::select(vec!["a", "b", "c", "x-a", "x-match"]);
        let value = prop_oneof![
            Just(Value::Null),
            Just(Value::I32(1)),
            Just(Value::U8(1)),
            Just(Value::I64(2)),
            prop::sample::select(vec!["all", "any", "all-with-x", "any-with-x"]).prop_map(text),
        ];
        vec((name.prop_map(Into::into), value), 0..4)
    }

    /// The rule once more, by the shortest words.
    fn reference(arguments: &[(Box<str>, Value)], headers: &[(Box<str>, Value)]) -> bool {
        let word = arguments.iter().find(|(name, _)| &**name == "x-match");
        let word = match word {
            Some((_, Value::Text(word))) => word,
            _ => "all",
        };
        let met: Vec<bool> = arguments
            .iter()
            .filter(|(name, _)| &**name != "x-match")
            .filter(|(name, _)| word.ends_with("-with-x") || !name.starts_with("x-"))
            .map(
                |(name, value)| match headers.iter().find(|(n, _)| n == name) {
                    None => false,
                    Some(_) if *value == Value::Null => true,
                    Some((_, Value::I32(1) | Value::U8(1))) => {
                        matches!(value, Value::I32(1) | Value::U8(1))
                    }
                    Some((_, found)) => found == value,
                },
            )
            .collect();
        if word.starts_with("any") {
            met.contains(&true)
        } else {
            !met.contains(&false)
        }
    }

    proptest! {
        #[test]
        fn the_table_matches_as_the_rule_says(
            bindings in vec(some_pairs(), 1..5),
            headers in some_pairs(),
        ) {
            let mut table = HeadersTable::default();
            let mut expected = Vec::new();
            for (destination, pairs) in bindings.into_iter().enumerate() {
                table.insert(&BindingArguments::new(pairs.clone()), destination);
                if reference(&pairs, &headers) {
                    expected.push(destination);
                }
            }
            let properties = Properties { application: headers, ..Properties::default() };
            let mut out = SmallVec::new();
            table.collect(&properties, &mut out);
            out.sort_unstable();
            prop_assert_eq!(out.to_vec(), expected);
        }
    }
}
