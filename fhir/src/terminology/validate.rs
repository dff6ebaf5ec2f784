//! `$validate-code`: whether a code is right, and what is wrong with it.

use std::sync::Arc;

use super::code_system::Concept;
use super::engine::{Engine, is_placeholder};
use super::letters::is_same_folded;
use super::library::{Canonical, Extent, grammar_of};
use super::value_set::ValueSet;
use super::{CodeSystem, ListError, grammar};

/// A code with its system and display, as a client has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coded {
    /// The code system.
    pub system: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The code.
    pub code: String,
    /// The display that is to be checked.
    pub display: Option<String>,
}

/// What came of validating a code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Whether code and display are right.
    pub result: bool,
    /// What is wrong, or what could not be checked.
    pub message: Option<String>,
    /// The right display.
    pub display: Option<String>,
    /// The code that it was decided by; of several, the one that is right.
    pub code: Option<Coded>,
}

impl Verdict {
    fn no(message: impl Into<String>) -> Self {
        Self { result: false, message: Some(message.into()), ..Self::default() }
    }
}

/// What a validation depends on besides the code.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Whether a code that only groups others is right.
    pub with_abstract: bool,
    /// The language of displays.
    pub language: Option<String>,
}

impl Engine<'_> {
    /// Validates a code against a value set.
    ///
    /// # Errors
    /// Where it depends on something that is not known.
    pub fn validate_in_set(
        &self,
        set: &ValueSet,
        coded: &Coded,
        terms: &Terms,
    ) -> Result<Verdict, ListError> {
        if !self.is_member(set, coded.system.as_deref(), &coded.code)? {
            let name = if set.url.is_empty() { "the value set" } else { &set.url };
            return Ok(Verdict::no(format!("The code is not in {name}.")));
        }
        let (system, listed) = self.place(set, coded)?;
        let Some(url) = system else {
            return Ok(Verdict { result: true, code: Some(coded.clone()), ..Verdict::default() });
        };
        let canonical = Canonical::new(url.clone(), coded.version.clone());
        let found = match self.code_system(&canonical, &Extent::Code(coded.code.clone())) {
            Ok(found) => Some(found),
            Err(ListError::Pending) => return Err(ListError::Pending),
            // Of a version that is not there nobody knows which codes it has.
            Err(error) if coded.version.is_some() => return Err(error),
            Err(_unknown) => None,
        };
        if let (Some(version), Some(found)) = (&coded.version, &found)
            && found.get(&coded.code).is_none()
        {
            return match found.is_complete() {
                true => Ok(Verdict::no(format!("The version {version} of {url} has no such code."))),
                false => Err(ListError::PartOfCodeSystem(canonical.to_string())),
            };
        }
        let concept = found.as_ref().and_then(|system| system.get(&coded.code));
        let coded = Coded { system: Some(url), ..coded.clone() };
        Ok(judge(&coded, concept, listed.as_deref(), terms))
    }

    /// The system by which a code is in a value set, and its display there.
    fn place(&self, set: &ValueSet, coded: &Coded) -> Result<(Option<String>, Option<String>), ListError> {
        for part in &set.include {
            let Some(canonical) = super::part::canonical(part) else { continue };
            if coded.system.as_ref().is_some_and(|system| *system != canonical.url) {
                continue;
            }
            let one = ValueSet { include: vec![part.clone()], exclude: Vec::new(), ..set.clone() };
            if self.is_member(&one, coded.system.as_deref(), &coded.code)? {
                // It is there in this spelling, or in another one that is the same to the system.
                let exact = part.concepts.iter().find(|listed| listed.code == coded.code);
                let listed = exact.or_else(|| {
                    part.concepts.iter().find(|listed| is_same_folded(&listed.code, &coded.code))
                });
                return Ok((Some(canonical.url), listed.and_then(|listed| listed.display.clone())));
            }
        }
        for url in set.include.iter().flat_map(|part| &part.value_sets) {
            // It is a member, so that the imports end.
            let inner = self.value_set(url)?;
            if self.is_member(&inner, coded.system.as_deref(), &coded.code)? {
                return self.place(&inner, coded);
            }
        }
        Ok((coded.system.clone(), None))
    }

    /// Validates a code against its code system.
    ///
    /// # Errors
    /// Where the system is not known.
    pub fn validate_in_system(
        &self,
        canonical: &Canonical,
        coded: &Coded,
        terms: &Terms,
    ) -> Result<Verdict, ListError> {
        let found = match self.code_system(canonical, &Extent::Code(coded.code.clone())) {
            Ok(found) if !is_placeholder(&found) => found,
            Err(ListError::Pending) => return Err(ListError::Pending),
            nothing => {
                let Some(known) = grammar_of(&canonical.url) else {
                    return Err(match nothing {
                        Ok(_) => ListError::PartOfCodeSystem(canonical.to_string()),
                        Err(_) => ListError::UnknownCodeSystem(canonical.to_string()),
                    });
                };
                return Ok(match grammar::fault(known, &coded.code) {
                    None => Verdict { result: true, code: Some(coded.clone()), ..Verdict::default() },
                    Some(fault) => Verdict::no(format!("The code {}.", fault.what)),
                });
            }
        };
        self.judge_in(&found, coded, terms)
    }

    /// Validates a code against a code system that is at hand.
    ///
    /// # Errors
    /// Where only some codes of the system are known, and this is none of them.
    pub fn judge_in(
        &self,
        system: &Arc<CodeSystem>,
        coded: &Coded,
        terms: &Terms,
    ) -> Result<Verdict, ListError> {
        match system.get(&coded.code) {
            Some(concept) => Ok(judge(coded, Some(concept), None, terms)),
            None if system.is_complete() => {
                Ok(Verdict::no(format!("The code system {} has no such code.", system.url)))
            }
            None => Err(ListError::PartOfCodeSystem(system.url.clone())),
        }
    }
}

/// Whether a code that is where it should be is used as it should be.
fn judge(coded: &Coded, concept: Option<&Concept>, listed: Option<&str>, terms: &Terms) -> Verdict {
    let display = concept.and_then(|concept| match &terms.language {
        Some(language) => concept.display_in(Some(language)),
        None => listed.or(concept.display.as_deref()),
    });
    let display = display.or(listed).map(str::to_owned);
    let verdict = Verdict { result: true, display, message: None, code: Some(coded.clone()) };
    if concept.is_some_and(|concept| concept.is_abstract) && !terms.with_abstract {
        let message = Some("The code only groups others and is not to be chosen itself.".to_owned());
        return Verdict { result: false, message, ..verdict };
    }
    let Some(given) = &coded.display else { return verdict };
    let mut known: Vec<&str> = listed.into_iter().collect();
    if let Some(concept) = concept {
        known.extend(concept.display.as_deref());
        known.extend(concept.designations.iter().map(|designation| designation.value.as_str()));
    }
    if known.is_empty() || known.iter().any(|known| same_words(known, given)) {
        return verdict;
    }
    let right = verdict.display.as_deref().unwrap_or_default();
    let message = Some(format!("The code is right, the display is not: it is \"{right}\"."));
    Verdict { result: false, message, ..verdict }
}

/// Case and white space do not matter (R4 codesystem-operation-validate-code.html leaves it to the server).
fn same_words(left: &str, right: &str) -> bool {
    let plain = |text: &str| text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    plain(left) == plain(right)
}
