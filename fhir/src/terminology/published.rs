//! The terminology that R4 itself publishes.

use super::{Direction, ListError, Membership, SystemCode, Terminology, grammar};
use crate::definitions::{Members, ValueSet, r4};

/// The value sets of R4's required bindings; see [`crate::definitions`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Published;

impl Terminology for Published {
    fn validate_code(&self, value_set: &str, system: Option<&str>, code: &str) -> Membership {
        let Some(set) = r4().value_set(value_set) else { return Membership::Unknown };
        let is_member = match &set.members {
            Members::Unknown => return Membership::Unknown,
            Members::Listed(_) => set.lists(system, code) == Some(true),
            Members::Grammar(grammar) => {
                system.is_none_or(|system| system == grammar.system()) && grammar::takes(*grammar, code)
            }
        };
        if is_member { Membership::Member } else { Membership::NotMember }
    }

    fn codes(&self, value_set: &str, codes_max: usize) -> Result<Vec<SystemCode>, ListError> {
        let unknown = || ListError::UnknownValueSet(value_set.to_owned());
        let set = r4().value_set(value_set).ok_or_else(unknown)?;
        let codes = listed(set)?;
        if codes.len() > codes_max { Err(ListError::TooCostly(codes_max)) } else { Ok(codes) }
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

fn listed(set: &ValueSet) -> Result<Vec<SystemCode>, ListError> {
    match &set.members {
        Members::Unknown => Err(ListError::UnknownValueSet(set.url.to_owned())),
        Members::Grammar(grammar) => Err(ListError::NotEnumerable(grammar.system().to_owned())),
        Members::Listed(systems) => {
            let mut codes: Vec<SystemCode> = systems
                .iter()
                .flat_map(|listed| listed.codes.iter().map(|code| (listed.system, *code)))
                .map(|(system, code)| SystemCode { system: system.to_owned(), code: code.to_owned() })
                .collect();
            codes.sort_unstable();
            Ok(codes)
        }
    }
}
