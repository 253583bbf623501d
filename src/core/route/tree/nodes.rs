//! The nodes of a tree, in one arena.

use crate::core::route::destinations::Destinations;

use super::filter::Level;

/// Number of a node.
pub(super) type NodeId = u32;

/// The root, which is nobody's child: so 0 as a child means that there is none.
pub(super) const ROOT: NodeId = 0;

/// Nodes of a block: the arena grows by blocks, so that it is never half empty, and never copied as a whole.
const BLOCK_NODES: usize = 1024;

/// A place that filters lead to, or lead on from.
#[derive(Debug)]
pub(super) struct Node<D> {
    /// Child by the wildcard for one level, 0 = none.
    pub(super) one: NodeId,
    /// Child by the wildcard for any number of levels, 0 = none. Such a child stays a candidate whatever
    /// level comes.
    pub(super) many: NodeId,
    /// Whose child it is.
    pub(super) parent: NodeId,
    /// Edges that leave it by a level's text.
    pub(super) edges: u32,
    pub(super) destinations: Destinations<D>,
    /// The level that leads here, if it is a text, and then the tail.
    text: Box<[u8]>,
    label_bytes: u32,
    /// Whether this node is a `many` child.
    pub(super) is_many: bool,
}

impl<D: Clone + Ord> Node<D> {
    /// A child of `parent` without destinations.
    pub(super) fn new(parent: NodeId, level: Level<'_>, tail: &[u8]) -> Self {
        let label = match level {
            Level::Text(text) => text,
            Level::One | Level::Many => &[],
        };
        Self {
            one: ROOT,
            many: ROOT,
            parent,
            edges: 0,
            destinations: Destinations::default(),
            text: [label, tail].concat().into(),
            label_bytes: u32::try_from(label.len()).unwrap_or(u32::MAX),
            is_many: level == Level::Many,
        }
    }

    /// The text of the level that leads here; empty for a wildcard.
    pub(super) fn label(&self) -> &[u8] {
        self.text.get(..self.label_end()).unwrap_or(&self.text)
    }

    /// What else of the only filter that goes on from here; empty where none does, or several.
    ///
    /// INVARIANT: a node with a tail has no children, and its destinations are those behind the tail.
    pub(super) fn tail(&self) -> &[u8] {
        self.text.get(self.label_end()..).unwrap_or_default()
    }

    /// Takes the tail away.
    pub(super) fn take_tail(&mut self) -> Box<[u8]> {
        let tail: Box<[u8]> = self.tail().into();
        if !tail.is_empty() {
            self.text = self.label().into();
        }
        tail
    }

    fn label_end(&self) -> usize {
        usize::try_from(self.label_bytes).unwrap_or(usize::MAX)
    }

    /// Whether nothing leads to it or on from it.
    pub(super) fn is_empty(&self) -> bool {
        self.one == ROOT && self.many == ROOT && self.edges == 0 && self.destinations.is_empty()
    }
}

/// Nodes by number. Numbers of freed ones are given again.
#[derive(Debug)]
pub(super) struct Nodes<D> {
    /// INVARIANT: every block but the last is full.
    blocks: Vec<Vec<Node<D>>>,
    free: Vec<NodeId>,
}

impl<D: Clone + Ord> Default for Nodes<D> {
    fn default() -> Self {
        let root = Node::new(ROOT, Level::One, &[]);
        Self {
            blocks: vec![vec![root]],
            free: Vec::new(),
        }
    }
}

impl<D: Clone + Ord> Nodes<D> {
    /// Adds a node, and names it.
    pub(super) fn add(&mut self, node: Node<D>) -> NodeId {
        if let Some(free) = self.free.pop() {
            *self.get_mut(free) = node;
            return free;
        }
        let id = NodeId::try_from(self.made())
            .expect("four billion nodes need more memory than there is");
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_NODES => block.push(node),
            _ => {
                // Only the first one grows: most trees are small.
                let mut block = Vec::with_capacity(BLOCK_NODES);
                block.push(node);
                self.blocks.push(block);
            }
        }
        id
    }

    /// Lets go of a node that nothing names any more.
    pub(super) fn free(&mut self, id: NodeId) {
        self.get_mut(id).text = Box::default();
        self.free.push(id);
    }

    /// Nodes that were ever there at the same time.
    pub(super) fn made(&self) -> usize {
        let full = self.blocks.len().saturating_sub(1) * BLOCK_NODES;
        full + self.blocks.last().map_or(0, Vec::len)
    }

    pub(super) fn get(&self, id: NodeId) -> &Node<D> {
        let (block, at) = place(id);
        self.blocks
            .get(block)
            .and_then(|block| block.get(at))
            .expect("a number is given only to a node, and nodes are never dropped")
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> &mut Node<D> {
        let (block, at) = place(id);
        self.blocks
            .get_mut(block)
            .and_then(|block| block.get_mut(at))
            .expect("a number is given only to a node, and nodes are never dropped")
    }
}

fn place(id: NodeId) -> (usize, usize) {
    let id = usize::try_from(id).unwrap_or(usize::MAX);
    (id / BLOCK_NODES, id % BLOCK_NODES)
}
