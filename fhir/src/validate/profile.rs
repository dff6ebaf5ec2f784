//! Validation against profiles: StructureDefinitions that constrain R4, compiled once and checked on top of it.
//!
//! [`compile`] turns a StructureDefinition into a [`Profile`], which holds only what it asks for beyond R4:
//! cardinality, types, fixed values and patterns, bindings, constraints, slices. [`check`] holds a resource
//! against the profiles that it declares, those that the caller asks for, and the definitions of the extensions
//! in it. Structure, formats and R4's own rules are those of [`super::validate`]; both give the same kind of issues.
//!
//! Where the profiles come from is the caller's matter ([`Profiles`]); R4's own are in [`Published`].
//!
//! ```
//! use anamnesis_fhir::json::{Document, Limits};
//! use anamnesis_fhir::terminology;
//! use anamnesis_fhir::validate::profile::{Demands, Published, Surroundings, check};
//! let body = r#"{"resourceType": "Observation", "status": "final", "code": {"coding": [{"code": "8867-4"}]},
//!     "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/heartrate"]}}"#;
//! let document = Document::parse(body, &Limits::default())?;
//! let around = Surroundings { profiles: &Published, terminology: &terminology::Published };
//! let issues = check(document.root(), &Demands::default(), &around);
//! assert!(issues.iter().any(|issue| issue.expression == "Observation.subject" && issue.severity.is_error()));
//! # Ok::<(), anamnesis_fhir::json::ParseError>(())
//! ```

mod bindings;
mod bundle;
mod check;
mod compile;
mod element;
mod extensions;
mod pairs;
mod published;
mod slices;
mod slicing;
mod survey;
mod table;
mod targets;
mod values;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use compile::{CompileError, ELEMENTS_MAX, compile, profile_base};
pub use published::Published;
pub use table::Profile;

use super::issues::{Issue, Severity};
use crate::definitions::r4;
use crate::json::Value;
use crate::terminology::Terminology;

/// What somebody who knows profiles answers.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The profile.
    Known(Arc<Profile>),
    /// Nobody knows it.
    Unknown,
    /// It is known and cannot be used; says why.
    Broken(String),
}

/// Knows profiles by their canonical address, with or without `|version`.
pub trait Profiles: Sync {
    /// The profile at an address.
    fn profile(&self, canonical: &str) -> Lookup;
}

/// Whom a check asks.
#[derive(Clone, Copy)]
pub struct Surroundings<'s> {
    /// Knows profiles and definitions of extensions.
    pub profiles: &'s dyn Profiles,
    /// Knows value sets.
    pub terminology: &'s (dyn Terminology + Sync),
}

/// Elements and rules that one check may look at, unless the caller says otherwise.
const WORK_MAX: u64 = 500_000;

/// What is to be checked.
#[derive(Clone, Debug)]
pub struct Demands {
    /// Profiles that the outermost resource must conform to, whatever it declares; an unknown one is an error.
    pub profiles: Vec<String>,
    /// Whether the profiles that resources declare (`meta.profile`) are checked.
    pub declared: bool,
    /// What an unknown profile is.
    pub unknown_profile: Severity,
    /// Whether extensions without a known definition are remarked.
    pub unknown_extensions: bool,
    /// Most issues that are listed, as in [`super::Options::issues_max`].
    pub issues_max: usize,
    /// Most elements and rules that are looked at, each profile anew, before the check is given up with an error:
    /// a hostile profile must not hold up the server. The default is some tenths of a second.
    pub work_max: u64,
    /// What `now()` and `today()` answer in constraints; without it they cannot be evaluated.
    pub now: Option<chrono::DateTime<chrono::FixedOffset>>,
    /// Set by whoever does not wait for the answer any more: the check is given up.
    pub stop: Arc<AtomicBool>,
}

impl Default for Demands {
    fn default() -> Self {
        Demands {
            profiles: Vec::new(),
            declared: true,
            unknown_profile: Severity::Warning,
            unknown_extensions: true,
            issues_max: 100,
            work_max: WORK_MAX,
            now: None,
            stop: Arc::default(),
        }
    }
}

/// Checks a resource against profiles. It conforms where no issue is an error.
#[must_use]
pub fn check(resource: Value<'_>, demands: &Demands, around: &Surroundings<'_>) -> Vec<Issue> {
    survey::run(resource, demands, around)
}

/// The type of R4 that an address names.
pub(super) fn type_of_address(url: &str) -> Option<&'static str> {
    let plain = url.split('|').next().unwrap_or(url);
    r4().structure(plain.strip_prefix(compile::BASE)?).map(|structure| structure.name)
}

#[cfg(test)]
mod tests;
