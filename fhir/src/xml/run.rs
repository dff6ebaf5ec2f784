//! Elements of one name that follow each other, on their way to a member of JSON.

use super::error::XmlErrorKind;
use crate::definitions::ElementMatch;

/// Elements of one name that follow each other: one member of JSON, or two where a primitive has extensions.
pub(super) struct Run {
    pub(super) found: ElementMatch<'static>,
    /// Where in the output it began.
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) has_values: bool,
    /// The items of the `_` companion.
    pub(super) companions: Vec<u8>,
    pub(super) has_companions: bool,
}

impl Run {
    pub(super) fn begin(found: ElementMatch<'static>, start: usize) -> Self {
        Self { found, start, count: 0, has_values: false, companions: Vec::new(), has_companions: false }
    }
}

/// What is wrong where an element stands behind one that must come later.
pub(super) fn out_of_order(last: Option<&Run>, found: ElementMatch<'static>) -> Option<XmlErrorKind> {
    let last = last.filter(|last| last.found.element.order > found.element.order)?;
    Some(XmlErrorKind::Order(found.element_type.json_name, last.found.element_type.json_name))
}

/// Whether two elements are of one name.
pub(super) fn is_same(one: ElementMatch<'_>, other: ElementMatch<'_>) -> bool {
    std::ptr::eq(one.element_type, other.element_type)
}
