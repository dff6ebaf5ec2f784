//! FHIR search: the index in Postgres, how resources get into it, and how queries are answered from it.
//!
//! - [`SearchProjection`] writes the index; a [`crate::Runner`] runs it.
//! - [`SearchQuery`] is a request's parameters, understood; [`SearchIndex`] answers it with log positions. The
//!   resources themselves come from the log.
//!
//! Each type of search parameter has one file that holds both sides: how a value is indexed and how it is asked for.
//! Everything that is compared exactly becomes a hashed token in one array per resource; dates, numbers and
//! quantities become spans of ordered integers; strings become folded texts.

mod alias;
mod atom;
mod date;
mod digest;
mod entries;
mod extract;
mod index;
mod issue;
mod key;
mod modifier;
mod number;
mod page;
mod quantity;
mod query;
mod reference;
mod span;
mod special;
mod sql;
mod string;
mod tables;
mod token;
mod uri;
mod value;
mod write;

pub use digest::digest;
pub use index::{SearchIndex, SearchLimits, SearchMatch, SearchPage};
pub use issue::{Issue, IssueKind, Severity};
pub use query::{
    COUNT_DEFAULT, COUNT_MAX, Catalogue, Handling, PAGE_PARAMETER, ParseOptions, Scope, SearchQuery, Summary,
    Total,
};
pub use write::SearchProjection;

use modifier::Modifier;
