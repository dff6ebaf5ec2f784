//! Collections: what every expression takes and gives, an ordered list of items.

use super::item::Item;

/// An ordered list of items; a single one, the commonest case, is held without allocation.
#[derive(Debug, Clone, Default)]
pub struct Collection<'a>(Items<'a>);

// Not a `SmallVec`: that is invariant in the lifetime, and contexts could not be shared by expressions.
#[derive(Debug, Clone, Default)]
enum Items<'a> {
    #[default]
    None,
    One(Item<'a>),
    Many(Vec<Item<'a>>),
}

impl<'a> Collection<'a> {
    /// The empty collection, `{}`.
    #[must_use]
    pub fn empty() -> Self {
        Self(Items::None)
    }

    /// A collection of one item.
    #[must_use]
    pub fn single(item: Item<'a>) -> Self {
        Self(Items::One(item))
    }

    /// One Boolean, or nothing where the truth is unknown.
    #[must_use]
    pub fn boolean(truth: impl Into<Option<bool>>) -> Self {
        truth.into().map_or_else(Self::empty, |truth| Self::single(Item::Boolean(truth)))
    }

    /// The items as a slice.
    #[must_use]
    pub fn as_slice(&self) -> &[Item<'a>] {
        match &self.0 {
            Items::None => &[],
            Items::One(item) => std::slice::from_ref(item),
            Items::Many(items) => items,
        }
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// True for `{}`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// The items in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Item<'a>> {
        self.as_slice().iter()
    }

    /// The item at a place from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Item<'a>> {
        self.as_slice().get(index)
    }

    /// The first item.
    #[must_use]
    pub fn first(&self) -> Option<&Item<'a>> {
        self.as_slice().first()
    }

    /// The last item.
    #[must_use]
    pub fn last(&self) -> Option<&Item<'a>> {
        self.as_slice().last()
    }

    /// Adds an item at the end.
    pub fn push(&mut self, item: Item<'a>) {
        match std::mem::take(&mut self.0) {
            Items::None => self.0 = Items::One(item),
            Items::One(first) => self.0 = Items::Many(vec![first, item]),
            Items::Many(mut items) => {
                items.push(item);
                self.0 = Items::Many(items);
            }
        }
    }

    pub(super) fn pop(&mut self) -> Option<Item<'a>> {
        match std::mem::take(&mut self.0) {
            Items::None => None,
            Items::One(item) => Some(item),
            Items::Many(mut items) => {
                let last = items.pop();
                self.0 = Items::Many(items);
                last
            }
        }
    }
}

impl<'a> From<Item<'a>> for Collection<'a> {
    fn from(item: Item<'a>) -> Self {
        Self::single(item)
    }
}

impl<'a> From<Option<Item<'a>>> for Collection<'a> {
    fn from(item: Option<Item<'a>>) -> Self {
        item.map_or_else(Self::empty, Self::single)
    }
}

impl<'a> FromIterator<Item<'a>> for Collection<'a> {
    fn from_iter<I: IntoIterator<Item = Item<'a>>>(items: I) -> Self {
        let mut collection = Self::empty();
        collection.extend(items);
        collection
    }
}

impl<'a> Extend<Item<'a>> for Collection<'a> {
    fn extend<I: IntoIterator<Item = Item<'a>>>(&mut self, items: I) {
        let mut items = items.into_iter();
        loop {
            if let Items::Many(own) = &mut self.0 {
                own.extend(items);
                return;
            }
            let Some(item) = items.next() else { return };
            self.push(item);
        }
    }
}

impl<'a> IntoIterator for Collection<'a> {
    type Item = Item<'a>;
    type IntoIter = IntoIter<'a>;

    fn into_iter(self) -> IntoIter<'a> {
        match self.0 {
            Items::None => IntoIter { one: None, many: None },
            Items::One(item) => IntoIter { one: Some(item), many: None },
            Items::Many(items) => IntoIter { one: None, many: Some(items.into_iter()) },
        }
    }
}

impl<'c, 'a> IntoIterator for &'c Collection<'a> {
    type Item = &'c Item<'a>;
    type IntoIter = std::slice::Iter<'c, Item<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The items of a collection that is used up.
#[derive(Debug)]
pub struct IntoIter<'a> {
    one: Option<Item<'a>>,
    many: Option<std::vec::IntoIter<Item<'a>>>,
}

impl<'a> Iterator for IntoIter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match &mut self.many {
            Some(items) => items.next(),
            None => self.one.take(),
        }
    }
}
