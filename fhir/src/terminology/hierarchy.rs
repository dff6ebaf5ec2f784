//! `$lookup` and `$subsumes`: what a code system says of a concept, and how two concepts relate.

use std::sync::Arc;

use super::code_system::{CodeSystem, Concept};
use super::engine::{Engine, is_placeholder};
use super::library::{Canonical, Extent, grammar_of};
use super::{ListError, grammar};

/// How two concepts relate (R4 concept-subsumption-outcome).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subsumption {
    /// They are the same.
    Equivalent,
    /// The first is above the second.
    Subsumes,
    /// The first is below the second.
    SubsumedBy,
    /// Neither.
    NotSubsumed,
}

impl Subsumption {
    /// The code for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Equivalent => "equivalent",
            Self::Subsumes => "subsumes",
            Self::SubsumedBy => "subsumed-by",
            Self::NotSubsumed => "not-subsumed",
        }
    }
}

/// What is known of a concept, apart from its relatives.
#[derive(Clone, Debug)]
pub enum Looked {
    /// A concept of a system.
    Concept(Arc<CodeSystem>, Concept),
    /// A code that follows the grammar of its system, which gives it no display.
    Grammatical,
}

impl Engine<'_> {
    /// Finds a concept with its relatives.
    ///
    /// # Errors
    /// Where system or code are not known.
    pub fn lookup(&self, canonical: &Canonical, code: &str) -> Result<Looked, ListError> {
        let unknown = || ListError::UnknownCode(canonical.to_string());
        // The part of a large system that holds the code has the concepts above it, and those right below.
        match self.code_system(canonical, &Extent::Code(code.to_owned())) {
            Ok(system) if !is_placeholder(&system) => {
                let concept = system.get(code).ok_or_else(unknown)?.clone();
                Ok(Looked::Concept(system, concept))
            }
            Err(ListError::Pending) => Err(ListError::Pending),
            _ => match grammar_of(&canonical.url) {
                Some(known) if grammar::takes(known, code) => Ok(Looked::Grammatical),
                Some(_) => Err(unknown()),
                None => Err(ListError::UnknownCodeSystem(canonical.to_string())),
            },
        }
    }

    /// How two concepts of a system relate.
    ///
    /// # Errors
    /// Where the system or one of the codes is not known.
    pub fn subsumption(
        &self,
        canonical: &Canonical,
        left: &str,
        right: &str,
    ) -> Result<Subsumption, ListError> {
        let unknown = || ListError::UnknownCode(canonical.to_string());
        // Both are asked for before the first is looked at, so that both are fetched together.
        let above_left = self.code_system(canonical, &Extent::Code(left.to_owned()));
        let above_right = self.code_system(canonical, &Extent::Code(right.to_owned()));
        let (above_left, above_right) = (above_left?, above_right?);
        for (system, code) in [(&above_left, left), (&above_right, right)] {
            match system.get(code) {
                Some(_) => {}
                None if system.is_complete() => return Err(unknown()),
                None => return Err(ListError::PartOfCodeSystem(canonical.to_string())),
            }
        }
        Ok(if above_right.subsumes(left, right) {
            if above_left.subsumes(right, left) { Subsumption::Equivalent } else { Subsumption::Subsumes }
        } else if above_left.subsumes(right, left) {
            Subsumption::SubsumedBy
        } else {
            Subsumption::NotSubsumed
        })
    }
}
