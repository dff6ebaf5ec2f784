//! What is known of codes while one resource is checked, and what would have to be asked first.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Whether something was too much work to find out.
    gave_up: bool,
    wanted: Mutex<BTreeSet<Question>>,
}

impl Codes {
    /// Whether something was too much work to find out: then the check has no answer.
    pub(super) fn gave_up(&self) -> bool {
        self.gave_up
    }

    /// Asks what was wanted; whether there was anything.
    ///
    /// # Errors
    /// The stored terminology cannot be read, or is late.
    pub(super) async fn ask(&mut self, terminology: &TerminologyIndex) -> Result<bool, ProjectionError> {
        let wanted = std::mem::take(self.wanted.get_mut().unwrap_or_else(PoisonError::into_inner));
        if wanted.is_empty() {
            return Ok(false);
        }
        let wanted = Arc::new(wanted);
        let asked = Arc::clone(&wanted);
        let answers = terminology.ask(move |engine| {
            let ask = |(set, system, code): &Question| {
                let set = engine.value_set(set)?;
                engine.is_member(&set, system.as_deref(), code)
            };
            asked.iter().map(ask).collect::<Vec<Result<bool, ListError>>>()
        });
        let answers = match answers.await {
            Err(ProjectionError::TooMuchWork) => vec![Err(ListError::TooMuchWork); wanted.len()],
            answers => answers?,
        };
        self.gave_up |= answers.iter().any(|answer| matches!(answer, Err(ListError::TooMuchWork)));
        let membership = |answer| match answer {
            Ok(true) => Membership::Member,
            Ok(false) => Membership::NotMember,
            Err(_unknown) => Membership::Unknown,
        };
        self.known.extend(wanted.iter().cloned().zip(answers.into_iter().map(membership)));
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
