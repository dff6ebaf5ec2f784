//! A tree of JSON member names that finds the values of one or of many search parameters in one walk.

use super::Extracted;
use super::filter::Filter;
use crate::json::Value;

/// A compiled expression, or many of them grown together where their paths begin alike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Walker {
    nodes: Vec<Node>,
}

/// A place of the tree: what to do with a value that was found there.
#[derive(Debug, Clone, PartialEq, Default)]
struct Node {
    emits: Vec<Emit>,
    /// The value itself goes on at that node where the filter holds.
    filters: Vec<(Filter, u32)>,
    /// In the order of the expression.
    edges: Vec<Edge>,
    /// Finds edges by name; empty where there are so few that asking the object for each is quicker.
    index: NameIndex,
}

/// What a value at a node is for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Emit {
    /// The value belongs to this slot.
    Value {
        /// Index of the parameter.
        slot: u32,
        /// Type of the value.
        fhir_type: &'static str,
    },
    /// The outcome of a test belongs to this slot.
    Test {
        /// Index of the parameter.
        slot: u32,
        /// What is asked of the value.
        test: Filter,
    },
}

/// The way from an object to the values of one member.
#[derive(Debug, Clone, PartialEq)]
struct Edge {
    name: Box<str>,
    /// Only this item of an array.
    item: Option<u32>,
    node: u32,
}

impl Walker {
    /// The node of the value that the walk begins with.
    pub(super) const START: u32 = 0;
    /// The node of the resource that holds it: `%resource`.
    pub(super) const RESOURCE: u32 = 1;

    /// A tree with nothing but its two beginnings.
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default(), Node::default()] }
    }

    /// Gives the node behind a member, and makes it where it is new.
    pub(super) fn edge(&mut self, from: u32, name: &str, item: Option<u32>) -> u32 {
        let next = self.next_id();
        let Some(node) = self.nodes.get_mut(from as usize) else { return from };
        if let Some(edge) = node.edges.iter().find(|edge| &*edge.name == name && edge.item == item) {
            return edge.node;
        }
        node.edges.push(Edge { name: name.into(), item, node: next });
        self.nodes.push(Node::default());
        next
    }

    /// Gives the node behind a filter, and makes it where it is new.
    pub(super) fn filter(&mut self, from: u32, filter: Filter) -> u32 {
        let next = self.next_id();
        let Some(node) = self.nodes.get_mut(from as usize) else { return from };
        if let Some((_, known)) = node.filters.iter().find(|(known, _)| *known == filter) {
            return *known;
        }
        node.filters.push((filter, next));
        self.nodes.push(Node::default());
        next
    }

    /// Says that values at this node are wanted.
    pub(super) fn emit(&mut self, at: u32, emit: Emit) {
        if let Some(node) = self.nodes.get_mut(at as usize)
            && !node.emits.contains(&emit)
        {
            node.emits.push(emit);
        }
    }

    /// Whether the walk can never find anything.
    pub(super) fn is_fruitless(&self) -> bool {
        self.nodes.iter().all(|node| node.emits.is_empty())
    }

    /// The ways to all values and their types, sorted: two walkers with the same ones find the same.
    pub(super) fn ways(&self) -> Vec<(String, &'static str)> {
        let mut ways = Vec::new();
        self.ways_from(Self::START, "", &mut ways);
        self.ways_from(Self::RESOURCE, "%resource", &mut ways);
        ways.sort_unstable();
        ways.dedup();
        ways
    }

    fn ways_from(&self, at: u32, way: &str, ways: &mut Vec<(String, &'static str)>) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        ways.extend(node.emits.iter().map(|emit| match emit {
            Emit::Value { fhir_type, .. } => (way.to_owned(), *fhir_type),
            Emit::Test { test, .. } => (format!("{way} {test:?}"), "boolean"),
        }));
        for (filter, next) in &node.filters {
            self.ways_from(*next, &format!("{way}[{filter:?}]"), ways);
        }
        for edge in &node.edges {
            self.ways_from(edge.node, &format!("{way}.{}{:?}", edge.name, edge.item), ways);
        }
    }

    /// Builds the name indexes where a node has more than `edges_max` edges; call it when the tree is whole.
    pub(super) fn finish(&mut self, edges_max: usize) {
        for node in &mut self.nodes {
            let is_plain = node.edges.iter().all(|edge| edge.item.is_none());
            if is_plain && node.edges.len() > edges_max {
                node.index = NameIndex::new(&node.edges);
            }
        }
    }

    fn next_id(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Walks from `value`; `root` is the resource that holds it.
    pub(super) fn walk<'a, F>(&self, root: Value<'a>, value: Value<'a>, sink: &mut F)
    where
        F: FnMut(u32, Extracted<'a>),
    {
        self.visit(root, value, Self::START, sink);
        self.visit(root, root, Self::RESOURCE, sink);
    }

    /// The depth of the recursion is that of the tree, whatever the resource holds.
    fn visit<'a, F>(&self, root: Value<'a>, value: Value<'a>, at: u32, sink: &mut F)
    where
        F: FnMut(u32, Extracted<'a>),
    {
        let Some(node) = self.nodes.get(at as usize) else { return };
        for emit in &node.emits {
            match emit {
                Emit::Value { slot, fhir_type } => sink(*slot, Extracted { value, fhir_type }),
                Emit::Test { slot, test } => {
                    if let Some(outcome) = test.holds(root, value) {
                        sink(*slot, Extracted { value: super::filter::truth(outcome), fhir_type: "boolean" });
                    }
                }
            }
        }
        for (filter, next) in &node.filters {
            if filter.holds(root, value) == Some(true) {
                self.visit(root, value, *next, sink);
            }
        }
        if node.index.is_empty() {
            for edge in &node.edges {
                if let Some(child) = value.get(&edge.name) {
                    self.enter(root, child, edge, sink);
                }
            }
        } else {
            for (name, child) in value.members() {
                if let Some(edge) = node.index.find(&node.edges, &name) {
                    self.enter(root, child, edge, sink);
                }
            }
        }
    }

    /// Goes on with a member's value, or with each item of an array.
    fn enter<'a, F>(&self, root: Value<'a>, value: Value<'a>, edge: &Edge, sink: &mut F)
    where
        F: FnMut(u32, Extracted<'a>),
    {
        match value.kind() {
            crate::json::Kind::Null => {}
            crate::json::Kind::Array => {
                let mut items = value.items();
                match edge.item {
                    None => items
                        .filter(|item| !item.is_null())
                        .for_each(|item| self.visit(root, item, edge.node, sink)),
                    Some(wanted) => {
                        if let Some(item) = items.nth(wanted as usize) {
                            self.visit(root, item, edge.node, sink);
                        }
                    }
                }
            }
            _ if edge.item.is_none_or(|wanted| wanted == 0) => self.visit(root, value, edge.node, sink),
            _ => {}
        }
    }
}

/// Finds an edge by its name: open addressing over at most half of the places, by length and three bytes.
#[derive(Debug, Clone, PartialEq, Default)]
struct NameIndex {
    /// Index of the edge plus one; 0 is free.
    places: Vec<u16>,
}

impl NameIndex {
    fn new(edges: &[Edge]) -> Self {
        let mut index = Self { places: vec![0; (edges.len() * 4).next_power_of_two()] };
        for (number, edge) in edges.iter().enumerate() {
            let Ok(stored) = u16::try_from(number + 1) else { return Self::default() };
            let free = index.probe(&edge.name).find(|place| index.places.get(*place) == Some(&0));
            if let Some(place) = free.and_then(|place| index.places.get_mut(place)) {
                *place = stored;
            }
        }
        index
    }

    fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn find<'e>(&self, edges: &'e [Edge], name: &str) -> Option<&'e Edge> {
        for place in self.probe(name) {
            let edge = edges.get(usize::from(self.places.get(place)?.checked_sub(1)?))?;
            if &*edge.name == name {
                return Some(edge);
            }
        }
        None
    }

    /// The places where a name may stand, in order. Names are those of the definitions, so nobody can make collide
    /// what is stored; a name of a client costs at most one run of taken places.
    fn probe(&self, name: &str) -> impl Iterator<Item = usize> + use<> {
        let bytes = name.as_bytes();
        let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0));
        let last = usize::from(bytes.last().copied().unwrap_or(0));
        let hash = name.len().wrapping_mul(0x9e37)
            ^ byte(0).wrapping_mul(0x85eb)
            ^ byte(2).wrapping_mul(0xc2b3)
            ^ last.wrapping_mul(0x27d5);
        let start = hash ^ (hash >> 9);
        let size = self.places.len();
        let mask = size.wrapping_sub(1);
        (0..size).map(move |step| start.wrapping_add(step) & mask)
    }
}
