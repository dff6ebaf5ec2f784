//! FHIR search: the index in Postgres, how resources get into it, and how queries are answered from it.
//!
//! - [`SearchProjection`] writes the index; a [`crate::Runner`] runs it.
//! - [`SearchQuery`] is a request's parameters, understood; [`SearchIndex`] answers it with log positions. The
//!   resources themselves come from the log.
//!
//! Each type of search parameter has one file that holds both sides: how a value is indexed and how it is asked for.
//! Everything that is compared exactly becomes a hashed token in one array per resource; dates, numbers and
//! quantities become spans of ordered integers; strings become folded texts.
//!
//! ```no_run
//! # async fn example(url: &str) -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use anamnesis_events::{Log, LogOptions};
//! use anamnesis_projections::search::{CustomParameters, Handling, ParseOptions, Scope, SearchIndex, SearchProjection};
//! use anamnesis_projections::{Database, DatabaseOptions, Runner, RunnerOptions};
//!
//! let log = Log::open(url, "default", LogOptions::default()).await?;
//! let database = Database::new(url, &DatabaseOptions::default())?;
//! let projection = SearchProjection::new(&CustomParameters::none(), log.number(), 1);
//! let options = RunnerOptions::default();
//! let runner = Runner::start(database.clone(), projection, log.clone(), log.number(), options).await?;
//! let index = SearchIndex::new(database, log.number(), runner.progress());
//!
//! let parameters = [("code".to_owned(), "http://loinc.org|8480-6".to_owned())];
//! let options = ParseOptions { handling: Handling::Strict, ..ParseOptions::at(chrono::Utc::now()) };
//! let scope = Scope::Type("Observation".to_owned());
//! let (query, _issues) = index.parse(&scope, &parameters, &options).map_err(|issues| issues[0].text.clone())?;
//! index.wait_for(log.head().await?, Duration::from_millis(500)).await?;
//! for found in index.search(&query).await?.matches {
//!     println!("{}/{} at {}", found.resource_type, found.id, found.position);
//! }
//! # Ok(())
//! # }
//! ```

mod alias;
mod atom;
mod audit;
mod bucket;
mod code_sets;
mod composite;
mod contained;
mod date;
mod derive;
mod digest;
mod entries;
mod erase;
mod evaluate;
mod extract;
mod full_text;
mod implied;
mod include;
mod index;
mod issue;
mod key;
mod label;
mod modifier;
mod near;
mod number;
mod page;
mod parameters;
mod quantity;
mod query;
mod reference;
mod restriction;
mod shelf;
mod sight;
mod span;
mod special;
mod sql;
mod string;
mod tables;
mod target;
mod token;
mod uri;
mod value;
mod words;
mod write;

pub use audit::{AuditOptions, Audited, audit};
pub use derive::{Derived, LOG_OF_RECORDINGS, derive, derive_by};
pub use digest::digest;
pub use evaluate::{Evaluator, Found, Subject};
pub use full_text::asks_for_words;
pub use include::{Followed, INCLUDES_COUNT_MAX, INCLUDES_PARAMETER, Include, IncludesToken, Wanted};
pub use index::{
    ContainedMatch, Drawn, ExplainOptions, Explained, Ran, SearchIndex, SearchLimits, SearchMatch,
    SearchPage, explained,
};
pub use issue::{Issue, IssueKind, Severity};
pub use parameters::{CustomParameter, CustomParameters, PARAMETERS_MAX, ParametersError};
pub use query::{
    CHAIN_DEPTH_MAX, COUNT_DEFAULT, COUNT_MAX, Catalogue, Contained, ContainedType, Handling, ListItems,
    PAGE_PARAMETER, ParseOptions, Scope, SearchQuery, Summary, Total, is_of_results,
};
pub use restriction::{Restriction, Visible};
pub use sight::Sight;
pub use span::DateEquals;
pub use string::fold as folded;
pub use write::SearchProjection;

use modifier::Modifier;
