//! What is known of codes while one resource is checked, and what would have to be asked first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use anamnesis_fhir::terminology::{Direction, ListError, Membership, SystemCode, Terminology};
use anamnesis_projections::ProjectionError;
use anamnesis_projections::terminology::TerminologyIndex;

/// Codes that are asked for one resource; the others count as unknown.
const CODES_MAX: usize = 5000;

/// Value set, system, code.
type Question = (String, Option<String>, String);

/// Answers a check from what was asked before, and notes what was not.
#[derive(Default)]
pub(super) struct Codes {
    known: HashMap<Question, Membership>,
    wanted: Mutex<BTreeSet<Question>>,
}

impl Codes {
    /// Asks what was wanted; whether there was anything.
    ///
    /// # Errors
    /// The stored terminology cannot be read, or is late.
    pub(super) async fn ask(&mut self, terminology: &TerminologyIndex) -> Result<bool, ProjectionError> {
        let wanted = std::mem::take(self.wanted.get_mut().unwrap_or_else(PoisonError::into_inner));
        if wanted.is_empty() {
            return Ok(false);
        }
        let answers = terminology.ask(|engine| {
            let ask = |(set, system, code): &Question| engine.validate_code(set, system.as_deref(), code);
            wanted.iter().map(ask).collect::<Vec<Membership>>()
        });
        let answers = match answers.await {
            // What is too much to find out is not known.
            Err(ProjectionError::TooCostly) => vec![Membership::Unknown; wanted.len()],
            answers => answers?,
        };
        self.known.extend(wanted.into_iter().zip(answers));
        Ok(true)
    }
}

impl Terminology for Codes {
    fn validate_code(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership {
        let question = (value_set.to_owned(), system.map(str::to_owned), code.to_owned());
        if let Some(known) = self.known.get(&question) {
            return *known;
        }
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if self.known.len() + wanted.len() < CODES_MAX {
            wanted.insert(question);
        }
        Membership::Unknown
    }

    fn codes(&self, value_set: &str, _codes_max: usize) -> Result<Vec<SystemCode>, ListError> {
        Err(ListError::UnknownValueSet(value_set.to_owned()))
    }

    fn related(
        &self,
        system: &str,
        _code: &str,
        _direction: Direction,
        _codes_max: usize,
    ) -> Result<Vec<String>, ListError> {
        Err(ListError::UnknownCodeSystem(system.to_owned()))
    }
}
