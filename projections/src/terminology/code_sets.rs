//! What searches ask: the codes of `:in`, `:not-in`, `:above` and `:below`.

use anamnesis_fhir::terminology::{Direction, ListError, Terminology};

use super::Session;
use crate::search::{CodeSets, Relation};

/// Codes that one value of a search may stand for: half of the conditions that a search may have.
const CODES_MAX: usize = 5_000;

impl CodeSets for Session {
    fn value_set(&self, url: &str) -> Result<Vec<(String, String)>, String> {
        let codes = self.codes(url, CODES_MAX).map_err(|error| told(&error))?;
        Ok(codes.into_iter().map(|code| (code.system, code.code)).collect())
    }

    fn related(&self, system: &str, code: &str, relation: Relation) -> Result<Vec<(String, String)>, String> {
        let direction = match relation {
            Relation::Above => Direction::Above,
            Relation::Below => Direction::Below,
        };
        let codes = Terminology::related(self, system, code, direction, CODES_MAX);
        let codes = codes.map_err(|error| told(&error))?;
        Ok(codes.into_iter().map(|code| (system.to_owned(), code)).collect())
    }
}

/// What is wrong, without the value that was asked for: it belongs to the client.
fn told(error: &ListError) -> String {
    match error {
        ListError::UnknownValueSet(_) => "the value set is not known here".to_owned(),
        ListError::UnknownCodeSystem(_) => {
            "a code system that it depends on is not known here, or in part only".to_owned()
        }
        ListError::UnknownCode(_) => "the code system has no such code".to_owned(),
        ListError::NotEnumerable(_) => "the codes follow a grammar and cannot be listed".to_owned(),
        ListError::TooCostly(_) => {
            format!("it stands for more than {CODES_MAX} codes, which is more than one search can ask for")
        }
        _ => "the definition of the value set cannot be used".to_owned(),
    }
}
