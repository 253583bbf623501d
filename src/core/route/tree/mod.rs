//! The tree of levels: which filters match a topic.
//!
//! Nodes lie in one arena, edges in one table of node numbers: the texts that name an edge lie in the node that it leads
//! to. Where only one filter goes on, its other levels stand in that node as well, so that a filter costs about one node
//! and one slot however long it is. Matching follows all candidates at once, level by level, as an automaton does: each
//! node is looked at once a level, so no filter makes it run back and forth, and siblings that do not match cost nothing.

mod filter;

mod nodes;

use std::hash::BuildHasher;
use std::hash::RandomState;

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::core::route::destinations::Destinations;
use crate::core::route::topic::FilterLevel;

use filter::Level;
use filter::encode;
use filter::matches;
use filter::split_first;
use nodes::Node;
use nodes::NodeId;
use nodes::Nodes;
use nodes::ROOT;

/// Candidates of a match. A usual tree has a handful at a time.
type Active = SmallVec<[NodeId; 32]>;

/// Filters and where they lead.
#[derive(Debug)]
pub(in crate::core) struct Tree<D> {
    nodes: Nodes<D>,
    /// Children by a level's text, by hash of parent and text.
    edges: HashTable<NodeId>,
    hasher: RandomState,
}

impl<D: Clone + Ord> Default for Tree<D> {
    fn default() -> Self {
        Self {
            nodes: Nodes::default(),
            edges: HashTable::new(),
            hasher: RandomState::new(),
        }
    }
}

impl<D: Clone + Ord> Tree<D> {
    /// Adds one binding.
    pub(super) fn insert(&mut self, filter: &[FilterLevel], destination: D) {
        let filter = encode(filter);
        let (mut at, mut rest) = (ROOT, &*filter);
        loop {
            if self.nodes.get(at).tail() == rest {
                return self.nodes.get_mut(at).destinations.add(destination);
            }
            self.split(at);
            let Some((level, after)) = split_first(rest) else {
                return self.nodes.get_mut(at).destinations.add(destination);
            };
            let Some(child) = self.child(at, level) else {
                let mut destinations = Destinations::default();
                destinations.add(destination);
                return self.graft(at, rest, destinations);
            };
            (at, rest) = (child, after);
        }
    }

    /// Takes one binding away, and every node that nothing needs any more.
    pub(super) fn remove(&mut self, filter: &[FilterLevel], destination: &D) {
        let filter = encode(filter);
        let (mut at, mut rest) = (ROOT, &*filter);
        while self.nodes.get(at).tail() != rest {
            let child = split_first(rest).and_then(|(level, after)| {
                let child = self.child(at, level)?;
                Some((child, after))
            });
            let Some(next) = child else { return };
            (at, rest) = next;
        }
        self.nodes.get_mut(at).destinations.remove(destination);
        while at != ROOT && self.nodes.get(at).is_empty() {
            at = self.prune(at);
        }
    }

    /// Appends the destinations of every filter that matches these levels; one behind several filters
    /// comes several times.
    pub(super) fn collect<L: AsRef<[u8]>>(
        &self,
        levels: impl Iterator<Item = L>,
        out: &mut SmallVec<[D; 4]>,
    ) {
        let levels: SmallVec<[L; 16]> = levels.collect();
        let mut rest = &*levels;
        let mut active = Active::new();
        let mut next = Active::new();
        self.enter(ROOT, rest, &mut active, out);
        while let Some((level, after)) = rest.split_first() {
            rest = after;
            for &at in &active {
                self.step(at, level.as_ref(), rest, &mut next, out);
            }
            // The same "any number" node is reached by staying in it and anew from its parent.
            next.sort_unstable();
            next.dedup();
            active.clear();
            std::mem::swap(&mut active, &mut next);
        }
        for &at in &active {
            self.nodes.get(at).destinations.collect(out);
        }
    }

    /// Adds what is reached from `at` by one level, before `rest`.
    fn step<L: AsRef<[u8]>>(
        &self,
        at: NodeId,
        level: &[u8],
        rest: &[L],
        next: &mut Active,
        out: &mut SmallVec<[D; 4]>,
    ) {
        let node = self.nodes.get(at);
        if node.is_many {
            self.enter(at, rest, next, out);
        }
        if node.one != ROOT {
            self.enter(node.one, rest, next, out);
        }
        if node.edges > 0
            && let Some(child) = self.edge(at, level)
        {
            self.enter(child, rest, next, out);
        }
    }

    /// Adds a node, and the "any number" nodes below it, which match no level as well. One where a single filter goes on
    /// is no candidate: all that is left of the levels is there to be compared.
    fn enter<L: AsRef<[u8]>>(
        &self,
        mut at: NodeId,
        rest: &[L],
        active: &mut Active,
        out: &mut SmallVec<[D; 4]>,
    ) {
        loop {
            let node = self.nodes.get(at);
            match node.tail() {
                [] => active.push(at),
                tail if matches(tail, rest) => return node.destinations.collect(out),
                _ => return,
            }
            if node.many == ROOT {
                return;
            }
            at = node.many;
        }
    }

    /// The children of a node where a single filter goes on are made: others will join them.
    fn split(&mut self, at: NodeId) {
        let node = self.nodes.get_mut(at);
        let tail = node.take_tail();
        if !tail.is_empty() {
            let destinations = std::mem::take(&mut node.destinations);
            self.graft(at, &tail, destinations);
        }
    }

    /// Adds the rest of a filter, whose first level `at` has no child for.
    fn graft(&mut self, mut at: NodeId, mut rest: &[u8], destinations: Destinations<D>) {
        while let Some((level, after)) = split_first(rest) {
            // An "any number" node stays a candidate, which one with a tail never is.
            let tail = if level == Level::Many { &[] } else { after };
            let child = self.nodes.add(Node::new(at, level, tail));
            match level {
                Level::One => self.nodes.get_mut(at).one = child,
                Level::Many => self.nodes.get_mut(at).many = child,
                Level::Text(text) => {
                    let (nodes, hasher) = (&self.nodes, &self.hasher);
                    let hash_of = |id: &NodeId| {
                        let node = nodes.get(*id);
                        hasher.hash_one((node.parent, node.label()))
                    };
                    let hash = hasher.hash_one((at, text));
                    self.edges.insert_unique(hash, child, hash_of);
                    self.nodes.get_mut(at).edges += 1;
                }
            }
            at = child;
            if !tail.is_empty() {
                break;
            }
            rest = after;
        }
        self.nodes.get_mut(at).destinations = destinations;
    }

    fn child(&self, at: NodeId, level: Level<'_>) -> Option<NodeId> {
        match level {
            Level::One => Some(self.nodes.get(at).one).filter(|child| *child != ROOT),
            Level::Many => Some(self.nodes.get(at).many).filter(|child| *child != ROOT),
            Level::Text(text) => self.edge(at, text),
        }
    }

    fn edge(&self, at: NodeId, text: &[u8]) -> Option<NodeId> {
        let is_it = |id: &NodeId| {
            let node = self.nodes.get(*id);
            node.parent == at && node.label() == text
        };
        let hash = self.hasher.hash_one((at, text));
        self.edges.find(hash, is_it).copied()
    }

    /// Takes an empty node out, and says whose child it was.
    fn prune(&mut self, child: NodeId) -> NodeId {
        let node = self.nodes.get(child);
        let parent = node.parent;
        let hash = self.hasher.hash_one((parent, node.label()));
        let above = self.nodes.get_mut(parent);
        if above.one == child {
            above.one = ROOT;
        } else if above.many == child {
            above.many = ROOT;
        } else if let Ok(edge) = self.edges.find_entry(hash, |id| *id == child) {
            edge.remove();
            above.edges -= 1;
        }
        self.nodes.free(child);
        parent
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::core::route::topic::AMQP;

    fn matching(tree: &Tree<usize>, key: &str) -> Vec<usize> {
        let mut out = SmallVec::new();
        tree.collect(AMQP.levels(key.as_bytes()), &mut out);
        out.sort_unstable();
        out.dedup();
        out.to_vec()
    }

    fn tree(filters: &[&str]) -> Tree<usize> {
        let mut tree = Tree::default();
        for (destination, filter) in filters.iter().enumerate() {
            tree.insert(&AMQP.filter(filter.as_bytes()), destination);
        }
        tree
    }

    #[test]
    fn amqp091_3_1_3_3_topic_wildcards() {
        let tree = tree(&[
            "*.stock.#",
            "usd.*",
            "#",
            "",
            "#.db",
            "usd.#.eu.*",
            "*",
            "a%2Eb",
        ]);
        assert_eq!(matching(&tree, "usd.stock"), [0, 1, 2]);
        assert_eq!(matching(&tree, "eur.stock.db"), [0, 2, 4]);
        assert_eq!(matching(&tree, "stock.nasdaq"), [2]);
        assert_eq!(matching(&tree, ""), [2, 3]);
        assert_eq!(matching(&tree, "usd.eu.x"), [2, 5]);
        assert_eq!(matching(&tree, "usd.eu.eu.eu.x"), [2, 5]);
        assert_eq!(matching(&tree, "db"), [2, 4, 6]);
        assert_eq!(matching(&tree, "a%2Eb"), [2, 6, 7]);
        assert_eq!(matching(&tree, "."), [2]);
    }

    #[test]
    fn many_wildcards_in_a_row_of_equal_levels_end_soon() {
        // A matcher that tries every split would need more steps than there are atoms.
        let filter = "#.a.".repeat(60);
        // Alone it is one node's tail; the other makes nodes of its levels.
        for others in [vec![], vec![filter.clone() + "c"]] {
            let mut filters = vec![filter.clone() + "b"];
            filters.extend(others);
            let tree = tree(&filters.iter().map(String::as_str).collect::<Vec<_>>());
            assert!(matching(&tree, &"a.".repeat(120)).is_empty());
            assert_eq!(matching(&tree, &("a.".repeat(120) + "b")), [0]);
        }
    }

    #[test]
    fn a_tree_whose_bindings_went_has_the_root_alone() {
        let filters = ["a.b.c", "a.b", "a.*.c", "#.c", "a.#.c", ""];
        let mut tree = tree(&filters);
        let nodes = tree.nodes.made();
        for round in 0..2 {
            for (destination, filter) in filters.iter().enumerate() {
                tree.remove(&AMQP.filter(filter.as_bytes()), &destination);
            }
            assert!(tree.nodes.get(ROOT).is_empty(), "round {round}");
            assert!(tree.edges.is_empty());
            for (destination, filter) in filters.iter().enumerate() {
                tree.insert(&AMQP.filter(filter.as_bytes()), destination);
            }
            assert_eq!(tree.nodes.made(), nodes, "freed nodes are used again");
        }
    }

    #[test]
    fn a_filter_that_is_alone_on_its_way_takes_one_node() {
        let mut tree = tree(&["a.b.c.d.e"]);
        assert_eq!(tree.nodes.made(), 2, "and the root");
        tree.insert(&AMQP.filter(b"a.b.c.x.#"), 1);
        assert_eq!(tree.nodes.made(), 6, "one each for a, b, c and both ends");
        assert_eq!(matching(&tree, "a.b.c.d.e"), [0]);
        assert_eq!(matching(&tree, "a.b.c.x"), [1]);
        assert!(size_of::<Node<u64>>() <= 56, "{}", size_of::<Node<u64>>());
    }

    fn some_filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "*", "#"]);
        vec(level, 0..7).prop_map(|levels| levels.join("."))
    }

    fn some_key() -> impl Strategy<Value = String> {
        vec(prop::sample::select(vec!["a", "b", "c", ""]), 0..7).prop_map(|levels| levels.join("."))
    }

    fn reference(filter: &[FilterLevel], key: &[Vec<u8>]) -> bool {
        match (filter, key) {
            ([], key) => key.is_empty(),
            ([FilterLevel::Many, rest @ ..], key) => {
                (0..=key.len()).any(|skipped| reference(rest, &key[skipped..]))
            }
            ([_, ..], []) => false,
            ([FilterLevel::One, filter @ ..], [_, key @ ..]) => reference(filter, key),
            ([FilterLevel::Level(level), filter @ ..], [first, key @ ..]) => {
                **level == **first && reference(filter, key)
            }
        }
    }

    proptest! {
        #[test]
        fn the_tree_matches_as_filter_by_filter(
            filters in vec(some_filter(), 0..24),
            removed in vec(any::<prop::sample::Index>(), 0..12),
            keys in vec(some_key(), 1..12),
        ) {
            let mut tree = Tree::default();
            for (destination, filter) in filters.iter().enumerate() {
                tree.insert(&AMQP.filter(filter.as_bytes()), destination);
            }
            let mut left: BTreeSet<usize> = (0..filters.len()).collect();
            for index in removed.iter().filter(|_| !filters.is_empty()) {
                let destination = index.index(filters.len());
                tree.remove(&AMQP.filter(filters[destination].as_bytes()), &destination);
                left.remove(&destination);
            }
            for key in &keys {
                let levels: Vec<_> = AMQP.levels(key.as_bytes()).map(Into::into).collect();
                let expected: Vec<_> = left
                    .iter()
                    .copied()
                    .filter(|d| reference(&AMQP.filter(filters[*d].as_bytes()), &levels))
                    .collect();
                prop_assert_eq!(matching(&tree, key), expected, "{}", key);
            }
        }
    }
}
