//! The operations, one a file; [`super::operation`] is their table.

mod care;
pub(super) mod docref;
pub(super) mod everything;
pub(super) mod expand;
pub(super) mod export;
pub(super) mod import;
pub(super) mod includes;
mod input;
pub(super) mod lastn;
pub(super) mod legal_hold;
pub(super) mod lookup;
pub(super) mod member_match;
pub(super) mod parameter_status;
pub(super) mod purge;
pub(super) mod purge_history;
pub(super) mod reindex;
pub(super) mod subscription_events;
pub(super) mod subscription_status;
pub(super) mod subsumes;
mod takes;
mod terminology;
pub(super) mod translate;
pub(super) mod validate;
pub(super) mod validate_code;
pub(super) mod versions;

pub(in crate::api) use input::{Input, value_of};
pub(in crate::api) use takes::{Form, Takes};

/// A part of the value of a search, so that what separates parts is plain in it (R4 search.html#escaping).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(',', "\\,").replace('$', "\\$")
}
