//! The operations, one a file; [`super::operation`] is their table.

pub(super) mod includes;
mod input;
pub(super) mod versions;

#[allow(unused_imports, reason = "no operation takes anything yet")]
pub(in crate::api) use input::{Input, value_of};
