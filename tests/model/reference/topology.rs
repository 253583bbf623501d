//! Exchanges and bindings, and where they lead.

use std::collections::BTreeSet;

use super::Id;
use super::Reference;

#[derive(Clone, Debug)]
pub(super) struct Exchange {
    pub(super) name: String,
    kind: String,
    pub(super) durable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Binding {
    exchange: String,
    pub(super) queue: Id,
    key: String,
    pub(super) durable: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Topology {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) bindings: BTreeSet<Binding>,
}

impl Reference {
    /// An exchange; the standard one of these tests is always there.
    fn exchange(&self, name: &str) -> Option<Exchange> {
        if name == "amq.fanout" {
            let (name, kind) = (name.to_owned(), "fanout".to_owned());
            return Some(Exchange {
                name,
                kind,
                durable: true,
            });
        }
        self.topology
            .exchanges
            .iter()
            .find(|exchange| exchange.name == name)
            .cloned()
    }

    pub(crate) fn has_exchange(&self, name: &str) -> bool {
        self.exchange(name).is_some()
    }

    pub(crate) fn declare_exchange(&mut self, name: &str, kind: &str, durable: bool) {
        if !self.has_exchange(name) {
            let (name, kind) = (name.to_owned(), kind.to_owned());
            self.topology.exchanges.push(Exchange {
                name,
                kind,
                durable,
            });
        }
    }

    pub(crate) fn delete_exchange(&mut self, name: &str) {
        self.topology
            .exchanges
            .retain(|exchange| exchange.name != name);
        self.topology
            .bindings
            .retain(|binding| binding.exchange != name);
    }

    pub(crate) fn bind(&mut self, exchange: &str, queue: Id, key: &str) {
        let lasts = self.exchange(exchange).unwrap().durable;
        let durable = lasts && self.queues[&queue].settings.durable;
        if !self.is_bound(exchange, queue, key) {
            let (exchange, key) = (exchange.to_owned(), key.to_owned());
            self.topology.bindings.insert(Binding {
                exchange,
                queue,
                key,
                durable,
            });
        }
    }

    /// A queue has become durable, and its bindings to durable exchanges with it.
    pub(super) fn bindings_last(&mut self, queue: Id) {
        let bindings = std::mem::take(&mut self.topology.bindings).into_iter();
        self.topology.bindings = bindings
            .map(|mut binding| {
                let lasts = self.exchange(&binding.exchange).unwrap().durable;
                binding.durable |= binding.queue == queue && lasts;
                binding
            })
            .collect();
    }

    pub(crate) fn unbind(&mut self, exchange: &str, queue: Id, key: &str) {
        self.topology.bindings.retain(|binding| {
            (&*binding.exchange, binding.queue, &*binding.key) != (exchange, queue, key)
        });
    }

    fn is_bound(&self, exchange: &str, queue: Id, key: &str) -> bool {
        let bindings = &self.topology.bindings;
        bindings
            .iter()
            .any(|b| (&*b.exchange, b.queue, &*b.key) == (exchange, queue, key))
    }

    /// The queues that a message goes to, each once and in order; none when there is no such exchange.
    pub(crate) fn route(&self, exchange: &str, key: &str) -> Option<Vec<Id>> {
        if exchange.is_empty() {
            return Some(self.id_of(key).into_iter().collect());
        }
        let kind = self.exchange(exchange)?.kind;
        let here = self
            .topology
            .bindings
            .iter()
            .filter(|b| b.exchange == exchange);
        let matching = here.filter(|binding| match &*kind {
            "direct" => binding.key == key,
            "topic" => {
                let split = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
                matches(&split(&binding.key), &split(key))
            }
            _ => true,
        });
        let queues: BTreeSet<Id> = matching.map(|binding| binding.queue).collect();
        Some(queues.into_iter().collect())
    }
}

fn matches(filter: &[String], key: &[String]) -> bool {
    match (filter.split_first(), key.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "#" => {
            matches(rest, key) || !key.is_empty() && matches(filter, &key[1..])
        }
        (Some((first, filter)), Some((level, key))) => {
            (first == "*" || first == level) && matches(filter, key)
        }
        _ => false,
    }
}
