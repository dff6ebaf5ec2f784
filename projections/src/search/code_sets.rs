//! The codes that `:in`, `:not-in`, `:above` and `:below` of tokens stand for, as terminology lists them.
//!
//! Each list is whole: where it would be too long to be asked for in one search, that is an error, because a part of it
//! would answer another question.

use anamnesis_fhir::terminology::{Direction, ListError, SystemCode, Terminology};

use super::value::Refusal;

/// Codes that one value of a search may stand for: half of the conditions that a search may have.
const CODES_MAX: usize = 5_000;

/// The codes of a value set.
pub(super) fn of_value_set(terminology: &dyn Terminology, url: &str) -> Result<Vec<SystemCode>, Refusal> {
    terminology.codes(url, CODES_MAX).map_err(|error| refuse(&error))
}

/// The codes that are above or below a code, and the code itself.
pub(super) fn related(
    terminology: &dyn Terminology,
    (system, code): (&str, &str),
    direction: Direction,
) -> Result<Vec<SystemCode>, Refusal> {
    let codes = terminology.related(system, code, direction, CODES_MAX).map_err(|error| refuse(&error))?;
    Ok(codes.into_iter().map(|code| SystemCode { system: system.to_owned(), code }).collect())
}

/// What is wrong, without the value that was asked for: it belongs to the client.
fn refuse(error: &ListError) -> Refusal {
    Refusal::BadValue(match error {
        ListError::UnknownValueSet(_) => "the value set is not known here".to_owned(),
        ListError::UnknownCodeSystem(_) | ListError::PartOfCodeSystem(_) => {
            "a code system that it depends on is not known here, or in part only".to_owned()
        }
        ListError::UnknownCode(_) => "the code system has no such code".to_owned(),
        ListError::NotEnumerable(_) => "the codes follow a grammar and cannot be listed".to_owned(),
        ListError::TooCostly(_) => {
            format!("it stands for more than {CODES_MAX} codes, which is more than one search can ask for")
        }
        ListError::TooMuchWork => "it takes too much work to find out which codes it stands for".to_owned(),
        _ => "the definition of the value set cannot be used".to_owned(),
    })
}
