//! The operations, one a file; [`super::operation`] is their table.

pub(super) mod expand;
pub(super) mod includes;
mod input;
pub(super) mod lookup;
pub(super) mod subsumes;
mod terminology;
pub(super) mod translate;
pub(super) mod validate_code;
pub(super) mod versions;

#[allow(unused_imports, reason = "no operation takes anything yet")]
pub(in crate::api) use input::{Input, value_of};
