//! Handles into a parsed document: the kinds of JSON values and how to walk them.

use std::borrow::Cow;
use std::ops::Range;

use super::Document;
use super::text;

/// The six kinds of JSON values (RFC 8259 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// a number, kept as its literal
    Number,
    /// a string
    String,
    /// an array
    Array,
    /// an object
    Object,
}

/// One value in the arena, in the order of the text; its children follow it directly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The string (or, for a member, its name) holds a backslash escape.
    pub(super) escaped: bool,
    pub(super) name_escaped: bool,
    /// Span of the value; a string's quotes are inside it.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Span of the member name without its quotes; empty at 0 for array items and the root.
    pub(super) name_start: u32,
    pub(super) name_end: u32,
    /// Index of the node after this one's whole subtree.
    pub(super) next: u32,
    /// Number of direct children.
    pub(super) count: u32,
}

pub(super) const MISSING: Node = Node {
    kind: Kind::Null,
    escaped: false,
    name_escaped: false,
    start: 0,
    end: 0,
    name_start: 0,
    name_end: 0,
    next: u32::MAX,
    count: 0,
};

/// A value of a [`Document`]: a reference and an index, free to copy.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    document: &'a Document,
    index: u32,
}

impl<'a> Value<'a> {
    pub(super) fn new(document: &'a Document, index: u32) -> Self {
        Self { document, index }
    }

    fn node(self) -> &'a Node {
        self.document.node(self.index)
    }

    /// What kind of value this is.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// A number that names this value within its document, in the order of the text.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// True where both handles name the same place of the same document.
    #[must_use]
    pub fn same_place(self, other: Value<'_>) -> bool {
        std::ptr::eq(self.document, other.document) && self.index == other.index
    }

    /// The value that `other` names, as lasting as this handle; `None` where it is of another document.
    #[must_use]
    pub fn counterpart(self, other: Value<'_>) -> Option<Value<'a>> {
        std::ptr::eq(self.document, other.document).then(|| Value::new(self.document, other.index))
    }

    /// The document that holds this value.
    #[must_use]
    pub fn document(self) -> &'a Document {
        self.document
    }

    /// Byte span of the value in [`Document::text`]; quotes and brackets are inside it.
    #[must_use]
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// Byte span of the member from the opening quote of its name to the end of its value; `None` for array items and the root.
    #[must_use]
    pub fn member_span(self) -> Option<Range<usize>> {
        let node = self.node();
        let start = (node.name_start as usize).checked_sub(1)?;
        Some(start..node.end as usize)
    }

    /// The literal text of the value, exactly as received.
    #[must_use]
    pub fn raw(self) -> &'a str {
        let node = self.node();
        self.document.slice(node.start, node.end)
    }

    /// The member name this value has in its object; `None` for array items and the root.
    #[must_use]
    pub fn name(self) -> Option<Cow<'a, str>> {
        let node = self.node();
        if node.name_start == 0 {
            return None;
        }
        let raw = self.document.slice(node.name_start, node.name_end);
        Some(if node.name_escaped { Cow::Owned(text::unescape(raw)) } else { Cow::Borrowed(raw) })
    }

    /// The member of that name; `None` where this is no object or has no such member.
    #[must_use]
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        if self.kind() != Kind::Object {
            return None;
        }
        self.children().find(|child| {
            let node = child.node();
            let raw = child.document.slice(node.name_start, node.name_end);
            if node.name_escaped { text::unescape(raw) == name } else { raw == name }
        })
    }

    /// The members of an object in the order of the text; none for any other kind.
    #[must_use]
    pub fn members(self) -> Members<'a> {
        Members(if self.kind() == Kind::Object { self.children() } else { self.no_children() })
    }

    /// The items of an array in order; none for any other kind.
    #[must_use]
    pub fn items(self) -> Items<'a> {
        if self.kind() == Kind::Array { self.children() } else { self.no_children() }
    }

    /// Number of members or items; 0 for other kinds.
    #[must_use]
    pub fn len(self) -> usize {
        self.node().count as usize
    }

    /// True for an empty array or object, and for every scalar.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.node().count == 0
    }

    /// The content of a string, unescaped; `None` for other kinds.
    #[must_use]
    pub fn as_str(self) -> Option<Cow<'a, str>> {
        let node = self.node();
        if node.kind != Kind::String {
            return None;
        }
        let raw = self.document.slice(node.start.saturating_add(1), node.end.saturating_sub(1));
        Some(if node.escaped { Cow::Owned(text::unescape(raw)) } else { Cow::Borrowed(raw) })
    }

    /// The truth value of `true` and `false`; `None` for other kinds.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.kind() {
            Kind::Bool => Some(self.raw() == "true"),
            _ => None,
        }
    }

    /// The literal of a number as received; `None` for other kinds.
    #[must_use]
    pub fn number(self) -> Option<&'a str> {
        match self.kind() {
            Kind::Number => Some(self.raw()),
            _ => None,
        }
    }

    /// True for `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    fn children(self) -> Items<'a> {
        let node = self.node();
        Items { document: self.document, next: self.index.saturating_add(1), left: node.count }
    }

    fn no_children(self) -> Items<'a> {
        Items { document: self.document, next: 0, left: 0 }
    }
}

impl std::fmt::Debug for Value<'_> {
    /// Kind and span only: values are health data and must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}@{:?}", self.kind(), self.span())
    }
}

/// The items of an array, in order.
#[derive(Clone)]
pub struct Items<'a> {
    document: &'a Document,
    next: u32,
    left: u32,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        let value = Value::new(self.document, self.next);
        self.next = value.node().next;
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Items<'_> {}

/// The members of an object, in the order of the text.
#[derive(Clone)]
pub struct Members<'a>(Items<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.0.next()?;
        Some((value.name().unwrap_or_default(), value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Members<'_> {}
