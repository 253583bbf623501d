//! Exchanges: what kind they are, and which destinations a message goes to.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;

use serde::Deserialize;
use serde::Serialize;
use smallvec::SmallVec;

use crate::core::model::value::Properties;
use crate::core::route::binding::Binding;
use crate::core::route::binding::BindingArguments;
use crate::core::route::destinations::Destinations;
use crate::core::route::headers::HeadersTable;
use crate::core::route::headers::MatchError;
use crate::core::route::headers::Matcher;
use crate::core::route::topic::AMQP;
use crate::core::route::tree::Tree;

/// How an exchange chooses. Later kinds join here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeKind {
    /// Bindings whose key equals the message's.
    Direct,
    /// Every binding.
    Fanout,
    /// Bindings whose filter matches the levels of the message's key.
    Topic,
    /// Bindings whose arguments match the message's application properties.
    Headers,
}

/// A type of exchange that this broker has not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown exchange type '{0}'")]
pub struct UnknownKind(pub String);

impl ExchangeKind {
    /// Parses the name that AMQP gives it (0-9-1 §3.1.3).
    ///
    /// # Errors
    /// [`UnknownKind`] for a name that is none of these.
    pub fn parse(name: &str) -> Result<Self, UnknownKind> {
        match name {
            "direct" => Ok(Self::Direct),
            "fanout" => Ok(Self::Fanout),
            "topic" => Ok(Self::Topic),
            "headers" => Ok(Self::Headers),
            other => Err(UnknownKind(other.into())),
        }
    }

    /// The name that AMQP gives it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }

    /// Checks the arguments of a binding that is about to be made on an exchange of this kind.
    ///
    /// # Errors
    /// [`MatchError`] when a headers exchange could not tell how to match.
    pub fn check(self, arguments: &BindingArguments) -> Result<(), MatchError> {
        match self {
            Self::Headers => Matcher::parse(arguments).map(|_| ()),
            Self::Direct | Self::Fanout | Self::Topic => Ok(()),
        }
    }
}

/// What an exchange was declared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeSettings {
    /// How it chooses.
    pub kind: ExchangeKind,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether only other exchanges may publish to it.
    pub internal: bool,
    /// Whether it goes when its last binding goes.
    pub auto_delete: bool,
    /// Arguments that a door's declaration was made with, opaque to core.
    pub vocabulary: BTreeMap<String, serde_json::Value>,
}

/// The bindings of one exchange, and where they lead.
#[derive(Debug)]
pub struct Router<D> {
    bindings: BTreeSet<Binding<D>>,
    routes: Routes<D>,
}

#[derive(Debug)]
enum Routes<D> {
    Direct(HashMap<Box<[u8]>, Destinations<D>>),
    Fanout(Destinations<D>),
    Topic(Tree<D>),
    Headers(HeadersTable<D>),
}

impl<D: Clone + Ord> Router<D> {
    /// A router without bindings.
    pub fn new(kind: ExchangeKind) -> Self {
        Self {
            bindings: BTreeSet::new(),
            routes: match kind {
                ExchangeKind::Direct => Routes::Direct(HashMap::new()),
                ExchangeKind::Fanout => Routes::Fanout(Destinations::default()),
                ExchangeKind::Topic => Routes::Topic(Tree::default()),
                ExchangeKind::Headers => Routes::Headers(HeadersTable::default()),
            },
        }
    }

    /// Binds, and says whether that binding is new. Key, arguments and destination together name a
    /// binding, as in RabbitMQ; arguments that [`ExchangeKind::check`] refuses match as `x-match: all`.
    pub fn bind(&mut self, key: &[u8], arguments: &BindingArguments, destination: D) -> bool {
        let binding = Binding {
            destination,
            key: key.into(),
            arguments: arguments.clone(),
        };
        if self.bindings.contains(&binding) {
            return false;
        }
        self.routes.add(&binding);
        self.bindings.insert(binding)
    }

    /// Undoes [`Router::bind`], and says whether there was that binding.
    pub fn unbind(&mut self, key: &[u8], arguments: &BindingArguments, destination: D) -> bool {
        let binding = Binding {
            destination,
            key: key.into(),
            arguments: arguments.clone(),
        };
        let found = self.bindings.remove(&binding);
        if found {
            self.routes.remove(&binding);
        }
        found
    }

    /// Every binding to `destination`.
    pub fn bindings_to(&self, destination: D) -> impl Iterator<Item = &Binding<D>> {
        let first = Binding {
            destination: destination.clone(),
            key: Box::default(),
            arguments: BindingArguments::default(),
        };
        let from = self.bindings.range(first..);
        from.take_while(move |binding| binding.destination == destination)
    }

    /// Undoes every binding to `destination`, and returns them.
    pub fn remove_destination(&mut self, destination: &D) -> Vec<Binding<D>> {
        let gone: Vec<_> = self.bindings_to(destination.clone()).cloned().collect();
        for binding in &gone {
            self.bindings.remove(binding);
            self.routes.remove(binding);
        }
        gone
    }

    /// Every binding, by destination.
    pub fn bindings(&self) -> impl Iterator<Item = &Binding<D>> {
        self.bindings.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Whether [`Router::route`] looks at properties.
    pub fn needs_properties(&self) -> bool {
        matches!(self.routes, Routes::Headers(_))
    }

    /// Puts into `out`, which is cleared, where a message goes: every destination once, in order. Only a
    /// headers exchange with bindings calls `properties`, and only once.
    pub fn route<'m>(
        &self,
        key: &[u8],
        properties: &mut dyn FnMut() -> &'m Properties,
        out: &mut SmallVec<[D; 4]>,
    ) {
        out.clear();
        match &self.routes {
            Routes::Direct(by_key) => {
                if let Some(destinations) = by_key.get(key) {
                    destinations.collect(out);
                }
                return;
            }
            Routes::Fanout(destinations) => return destinations.collect(out),
            Routes::Topic(tree) => tree.collect(AMQP.levels(key), out),
            Routes::Headers(table) if table.is_empty() => return,
            Routes::Headers(table) => table.collect(properties(), out),
        }
        // One destination may be behind several filters.
        if out.len() > 1 {
            out.sort_unstable();
            out.dedup();
        }
    }
}

impl<D: Clone + Ord> Routes<D> {
    fn add(&mut self, binding: &Binding<D>) {
        let destination = binding.destination.clone();
        match self {
            Self::Direct(by_key) => match by_key.get_mut(&binding.key) {
                Some(destinations) => destinations.add(destination),
                None => by_key
                    .entry(binding.key.clone())
                    .or_default()
                    .add(destination),
            },
            Self::Fanout(destinations) => destinations.add(destination),
            Self::Topic(tree) => tree.insert(&AMQP.filter(&binding.key), destination),
            Self::Headers(table) => table.insert(&binding.arguments, destination),
        }
    }

    fn remove(&mut self, binding: &Binding<D>) {
        let destination = &binding.destination;
        match self {
            Self::Direct(by_key) => {
                if let Some(destinations) = by_key.get_mut(&binding.key) {
                    destinations.remove(destination);
                    if destinations.is_empty() {
                        by_key.remove(&binding.key);
                    }
                }
            }
            Self::Fanout(destinations) => destinations.remove(destination),
            Self::Topic(tree) => tree.remove(&AMQP.filter(&binding.key), destination),
            Self::Headers(table) => table.remove(&binding.arguments, destination),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::core::model::value::Value;

    const KINDS: [ExchangeKind; 4] = [
        ExchangeKind::Direct,
        ExchangeKind::Fanout,
        ExchangeKind::Topic,
        ExchangeKind::Headers,
    ];

    fn none() -> BindingArguments {
        BindingArguments::default()
    }

    fn route(router: &Router<u8>, key: &str) -> Vec<u8> {
        let properties = Properties::default();
        let mut out = SmallVec::from_slice(&[99]);
        router.route(key.as_bytes(), &mut || &properties, &mut out);
        out.to_vec()
    }

    #[test]
    fn kinds_are_named_as_amqp_names_them() {
        for kind in KINDS {
            assert_eq!(ExchangeKind::parse(kind.as_str()), Ok(kind));
        }
        assert!(ExchangeKind::parse("x-modulus-hash").is_err());
    }

    #[test]
    fn direct_and_fanout_go_where_they_are_bound() {
        for (kind, expected) in [
            (ExchangeKind::Direct, vec![1, 3]),
            (ExchangeKind::Fanout, vec![1, 2, 3]),
        ] {
            let mut router = Router::new(kind);
            assert!(router.bind(b"a", &none(), 3));
            assert!(router.bind(b"b", &none(), 2));
            assert!(router.bind(b"a", &none(), 1));
            assert!(
                !router.bind(b"a", &none(), 1),
                "the same binding is not new"
            );
            assert_eq!(route(&router, "a"), expected);
        }
    }

    #[test]
    fn two_bindings_that_differ_in_arguments_end_one_by_one() {
        let named = BindingArguments::new(vec![("n".into(), Value::I32(1))]);
        let mut router = Router::new(ExchangeKind::Topic);
        assert!(router.bind(b"a.#", &none(), 1));
        assert!(router.bind(b"a.#", &named, 1));
        assert!(router.bind(b"#", &none(), 1));
        assert_eq!(route(&router, "a.b"), [1], "a destination comes once");
        assert!(router.unbind(b"a.#", &none(), 1));
        assert!(!router.unbind(b"a.#", &none(), 1));
        assert!(router.unbind(b"#", &none(), 1));
        assert_eq!(route(&router, "a.b"), [1]);
        assert!(router.unbind(b"a.#", &named, 1));
        assert!(route(&router, "a.b").is_empty());
        assert!(router.is_empty());
    }

    #[test]
    fn only_a_headers_exchange_looks_at_properties() {
        for kind in KINDS {
            let mut router = Router::new(kind);
            router.bind(b"a", &none(), 1u8);
            let properties = Properties::default();
            let mut looked = 0;
            let mut out = SmallVec::new();
            router.route(
                b"a",
                &mut || {
                    looked += 1;
                    &properties
                },
                &mut out,
            );
            assert_eq!(out.to_vec(), [1]);
            assert_eq!(looked == 1, router.needs_properties());
            assert_eq!(looked == 1, kind == ExchangeKind::Headers);
        }
    }

    #[test]
    fn settings_come_back_from_the_catalog_as_they_went() {
        let settings = ExchangeSettings {
            kind: ExchangeKind::Headers,
            durable: true,
            internal: false,
            auto_delete: false,
            vocabulary: BTreeMap::from([("amqp.x".into(), serde_json::json!({"a": [1]}))]),
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(
            serde_json::from_str::<ExchangeSettings>(&text).unwrap(),
            settings
        );
    }

    /// What a test binds: key, whether with arguments, destination.
    type Bound = (String, bool, u8);

    fn some_binding() -> impl Strategy<Value = Bound> {
        let key = prop::sample::select(vec!["a", "b", "a.b", "#", "*.b"]);
        (key.prop_map(Into::into), any::<bool>(), 0..3u8)
    }

    fn arguments(given: bool) -> BindingArguments {
        let values = given.then(|| ("a".into(), Value::I32(1)));
        BindingArguments::new(values.into_iter().collect())
    }

    fn bind(router: &mut Router<u8>, (key, given, destination): &Bound) -> bool {
        router.bind(key.as_bytes(), &arguments(*given), *destination)
    }

    fn unbind(router: &mut Router<u8>, (key, given, destination): &Bound) -> bool {
        router.unbind(key.as_bytes(), &arguments(*given), *destination)
    }

    proptest! {
        #[test]
        fn unbind_undoes_bind(
            kind in prop::sample::select(KINDS.to_vec()),
            kept in vec(some_binding(), 0..6),
            passing in vec(some_binding(), 0..6),
        ) {
            let mut plain = Router::new(kind);
            let mut router = Router::new(kind);
            for binding in &kept {
                bind(&mut plain, binding);
                bind(&mut router, binding);
            }
            let new: Vec<_> = passing.iter().filter(|b| bind(&mut router, b)).collect();
            for binding in new {
                prop_assert!(unbind(&mut router, binding));
            }
            prop_assert!(router.bindings().eq(plain.bindings()));
            for key in ["", "a", "b", "a.b", "c.b"] {
                prop_assert_eq!(route(&router, key), route(&plain, key));
            }
            let gone = router.remove_destination(&1);
            prop_assert!(gone.iter().all(|b| b.destination == 1));
            prop_assert!(router.bindings().all(|b| b.destination != 1));
            for key in ["a", "b", "a.b"] {
                let mut expected = route(&plain, key);
                expected.retain(|destination| *destination != 1);
                prop_assert_eq!(route(&router, key), expected);
            }
        }
    }
}
