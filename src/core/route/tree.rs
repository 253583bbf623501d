//! The tree of levels: which filters match a topic.
//!
//! Nodes lie in one arena, edges in one table keyed by (node, level), level texts are kept once: a leaf
//! costs a node, an edge and its text, and no map of its own. Matching follows all candidates at once,
//! level by level, as an automaton does: each node is looked at once a level, so no filter makes it run
//! back and forth, and siblings that do not match cost nothing.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::core::route::destinations::Destinations;
use crate::core::route::topic::FilterLevel;

/// Index of a node in the arena.
type NodeId = u32;

/// Names a level's text.
type LevelId = u32;

/// The root, which is nobody's child: so 0 as a child means that there is none.
const ROOT: NodeId = 0;

/// Candidates of a match. A usual tree has a handful at a time.
type Active = SmallVec<[NodeId; 32]>;

/// Filters and where they lead.
#[derive(Debug)]
pub(in crate::core) struct Tree<D> {
    nodes: Vec<Node<D>>,
    free_nodes: Vec<NodeId>,
    edges: HashMap<(NodeId, LevelId), NodeId>,
    levels: Levels,
}

#[derive(Debug)]
struct Node<D> {
    /// Child by the wildcard for one level, 0 = none.
    one: NodeId,
    /// Child by the wildcard for any number of levels, 0 = none. Such a child stays a candidate whatever
    /// level comes.
    many: NodeId,
    /// Whether this node is such a child.
    is_many: bool,
    /// Edges that leave it by a level's text.
    edges: u32,
    destinations: Destinations<D>,
}

impl<D: Clone + Ord> Node<D> {
    fn new(is_many: bool) -> Self {
        Self {
            one: 0,
            many: 0,
            is_many,
            edges: 0,
            destinations: Destinations::default(),
        }
    }

    fn is_empty(&self) -> bool {
        self.one == 0 && self.many == 0 && self.edges == 0 && self.destinations.is_empty()
    }
}

impl<D: Clone + Ord> Default for Tree<D> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(false)],
            free_nodes: Vec::new(),
            edges: HashMap::new(),
            levels: Levels::default(),
        }
    }
}

impl<D: Clone + Ord> Tree<D> {
    /// Adds one binding.
    pub(super) fn insert(&mut self, filter: &[FilterLevel], destination: D) {
        let mut at = ROOT;
        for level in filter {
            at = match self.child(at, level) {
                Some(child) => child,
                None => self.grow(at, level),
            };
        }
        self.node_mut(at).destinations.add(destination);
    }

    /// Takes one binding away, and every node that nothing needs any more.
    pub(super) fn remove(&mut self, filter: &[FilterLevel], destination: &D) {
        let mut path: SmallVec<[(NodeId, &FilterLevel); 16]> = SmallVec::new();
        let mut at = ROOT;
        for level in filter {
            path.push((at, level));
            let Some(child) = self.child(at, level) else {
                return;
            };
            at = child;
        }
        self.node_mut(at).destinations.remove(destination);
        while let Some((parent, level)) = path.pop() {
            if !self.node(at).is_empty() {
                return;
            }
            self.prune(parent, level, at);
            at = parent;
        }
    }

    /// Appends the destinations of every filter that matches these levels; one behind several filters
    /// comes several times.
    pub(super) fn collect<L: AsRef<[u8]>>(
        &self,
        levels: impl Iterator<Item = L>,
        out: &mut SmallVec<[D; 4]>,
    ) {
        let mut active = Active::new();
        let mut next = Active::new();
        self.enter(ROOT, &mut active);
        for level in levels {
            let level = self.levels.id(level.as_ref());
            for &at in &active {
                self.step(at, level, &mut next);
            }
            // The same "any number" node is reached by staying in it and anew from its parent.
            next.sort_unstable();
            next.dedup();
            active.clear();
            std::mem::swap(&mut active, &mut next);
        }
        for &at in &active {
            self.node(at).destinations.collect(out);
        }
    }

    /// Adds what is reached from `at` by one level; none is a level that no filter names.
    fn step(&self, at: NodeId, level: Option<LevelId>, next: &mut Active) {
        let node = self.node(at);
        if node.is_many {
            self.enter(at, next);
        }
        if node.one != 0 {
            self.enter(node.one, next);
        }
        if node.edges > 0
            && let Some(level) = level
            && let Some(&child) = self.edges.get(&(at, level))
        {
            self.enter(child, next);
        }
    }

    /// Adds a node, and the "any number" nodes below it, which match no level as well.
    fn enter(&self, mut at: NodeId, active: &mut Active) {
        active.push(at);
        while self.node(at).many != 0 {
            at = self.node(at).many;
            active.push(at);
        }
    }

    fn child(&self, at: NodeId, level: &FilterLevel) -> Option<NodeId> {
        let child = match level {
            FilterLevel::One => self.node(at).one,
            FilterLevel::Many => self.node(at).many,
            FilterLevel::Level(text) => *self.edges.get(&(at, self.levels.id(text)?))?,
        };
        Some(child).filter(|child| *child != 0)
    }

    fn grow(&mut self, at: NodeId, level: &FilterLevel) -> NodeId {
        let node = Node::new(*level == FilterLevel::Many);
        let child = match self.free_nodes.pop() {
            Some(free) => {
                *self.node_mut(free) = node;
                free
            }
            None => {
                let id = NodeId::try_from(self.nodes.len())
                    .expect("four billion nodes need more memory than there is");
                self.nodes.push(node);
                id
            }
        };
        match level {
            FilterLevel::One => self.node_mut(at).one = child,
            FilterLevel::Many => self.node_mut(at).many = child,
            FilterLevel::Level(text) => {
                let level = self.levels.keep(text);
                self.edges.insert((at, level), child);
                self.node_mut(at).edges += 1;
            }
        }
        child
    }

    fn prune(&mut self, parent: NodeId, level: &FilterLevel, child: NodeId) {
        match level {
            FilterLevel::One => self.node_mut(parent).one = 0,
            FilterLevel::Many => self.node_mut(parent).many = 0,
            FilterLevel::Level(text) => {
                if let Some(level) = self.levels.id(text) {
                    self.edges.remove(&(parent, level));
                    self.levels.release(text);
                    self.node_mut(parent).edges -= 1;
                }
            }
        }
        self.free_nodes.push(child);
    }

    fn node(&self, id: NodeId) -> &Node<D> {
        self.nodes
            .get(usize::try_from(id).unwrap_or(usize::MAX))
            .expect("an id is given only to a node, and nodes are never dropped")
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node<D> {
        self.nodes
            .get_mut(usize::try_from(id).unwrap_or(usize::MAX))
            .expect("an id is given only to a node, and nodes are never dropped")
    }
}

/// The texts of levels, each kept once with the number of edges that name it.
#[derive(Debug, Default)]
struct Levels {
    by_text: HashMap<Box<[u8]>, (LevelId, u32)>,
    free: Vec<LevelId>,
    next: LevelId,
}

impl Levels {
    fn id(&self, text: &[u8]) -> Option<LevelId> {
        self.by_text.get(text).map(|(id, _)| *id)
    }

    fn keep(&mut self, text: &[u8]) -> LevelId {
        if let Some((id, edges)) = self.by_text.get_mut(text) {
            *edges += 1;
            return *id;
        }
        let id = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        self.by_text.insert(text.into(), (id, 1));
        id
    }

    fn release(&mut self, text: &[u8]) {
        if let Some((id, edges)) = self.by_text.get_mut(text) {
            *edges -= 1;
            if *edges == 0 {
                self.free.push(*id);
                self.by_text.remove(text);
            }
        }
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
        let filter = "#.a.".repeat(60) + "b";
        let tree = tree(&[&filter]);
        assert!(matching(&tree, &"a.".repeat(120)).is_empty());
        assert_eq!(matching(&tree, &("a.".repeat(120) + "b")), [0]);
    }

    #[test]
    fn a_tree_whose_bindings_went_has_the_root_alone() {
        let filters = ["a.b.c", "a.b", "a.*.c", "#.c", "a.#.c", ""];
        let mut tree = tree(&filters);
        let nodes = tree.nodes.len();
        for round in 0..2 {
            for (destination, filter) in filters.iter().enumerate() {
                tree.remove(&AMQP.filter(filter.as_bytes()), &destination);
            }
            assert!(tree.node(ROOT).is_empty(), "round {round}");
            assert!(tree.edges.is_empty() && tree.levels.by_text.is_empty());
            for (destination, filter) in filters.iter().enumerate() {
                tree.insert(&AMQP.filter(filter.as_bytes()), destination);
            }
            assert_eq!(tree.nodes.len(), nodes, "freed nodes are used again");
        }
    }

    #[test]
    fn a_leaf_takes_no_more_than_planned() {
        // Arena and tables may be half empty after they grew.
        let node = size_of::<Node<u64>>();
        let edge = size_of::<((NodeId, LevelId), NodeId)>() + 1;
        let level = size_of::<(Box<[u8]>, (LevelId, u32))>() + 1;
        assert!(2 * (node + edge + level) <= 200, "{node} {edge} {level}");
    }

    fn some_filter() -> impl Strategy<Value = String> {
        let level = prop::sample::select(vec!["a", "b", "", "*", "#"]);
        vec(level, 0..6).prop_map(|levels| levels.join("."))
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
