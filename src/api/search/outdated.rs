//! Search parameters that were changed since the index was built: it answers by what they said then.

use anamnesis_fhir::search::ParameterDefinition;
use anamnesis_projections::search::Scope;

use crate::api::call::Call;
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// A warning for each of them that a search asks.
pub(super) fn told(call: &Call, scope: &Scope, asked: &[(String, String)]) -> Vec<Issue> {
    // One that is being built is built with what they say now.
    if call.index().is_ok_and(|index| index.is_partial()) {
        return Vec::new();
    }
    let told = codes(call, scope, asked).into_iter().map(|code| {
        let text = format!(
            "The search parameter {code} was changed since the index was built, and is asked as it was then; a reindex \
             (POST $reindex) takes over what it says now."
        );
        Issue::warning(IssueCode::Incomplete, text)
    });
    told.collect()
}

/// Refuses criteria that would be matched by what one of them said before: something else would be deleted or changed than
/// what is written, and something that is there already created.
///
/// # Errors
/// 400 with the first of them.
pub(super) fn refuse(call: &Call, scope: &Scope, criteria: &[(String, String)]) -> Result<(), Failure> {
    let Some(code) = codes(call, scope, criteria).into_iter().next() else { return Ok(()) };
    let text = format!(
        "The search parameter {code} was changed since the index was built, and cannot be used in criteria before a reindex \
         (POST $reindex)."
    );
    Err(Failure::new(FailureKind::Invalid, IssueCode::Incomplete, text))
}

/// The codes of those that are asked, each once.
fn codes(call: &Call, scope: &Scope, asked: &[(String, String)]) -> Vec<String> {
    let outdated = call.service.keeper.as_ref().map(|keeper| keeper.outdated()).unwrap_or_default();
    let mut codes: Vec<String> = Vec::new();
    for one in outdated {
        if !codes.contains(&one.code) && asked.iter().any(|(name, value)| asks(&one, scope, name, value)) {
            codes.push(one.code);
        }
    }
    codes
}

/// Whether a parameter of a query asks by this search parameter. Of those behind chains and within filters the type is not
/// known here: there it is every one with the code.
fn asks(one: &ParameterDefinition, scope: &Scope, name: &str, value: &str) -> bool {
    let is_of_type = match scope {
        Scope::Type(kind) | Scope::Compartment { resource_type: Some(kind), .. } => {
            one.bases.iter().any(|base| base == kind || base == "Resource" || base == "DomainResource")
        }
        _ => true,
    };
    let is_part = |text: &str| {
        text.split(|next: char| !next.is_alphanumeric() && !matches!(next, '-' | '_'))
            .any(|part| part == one.code)
    };
    match name {
        "_filter" => is_part(value),
        "_sort" => is_of_type && value.split(',').any(|key| key.strip_prefix('-').unwrap_or(key) == one.code),
        "_include" | "_revinclude" => is_part(value),
        _ => {
            let mut links = name.split('.');
            let first = links.next().unwrap_or_default();
            let own = first.split(':').next().unwrap_or_default();
            let of_has = if own == "_has" { first } else { "" };
            is_of_type && own == one.code || is_part(of_has) || links.any(is_part)
        }
    }
}

#[cfg(test)]
mod tests {
    use anamnesis_fhir::search::SearchParameterKind;

    use super::*;

    #[test]
    fn a_parameter_is_asked_by_its_code_wherever_that_stands() {
        let one = ParameterDefinition {
            url: "http://x".into(),
            code: "nick".into(),
            bases: vec!["Patient".into()],
            kind: SearchParameterKind::String,
            expression: None,
            targets: vec![],
            comparators: vec![],
            modifiers: vec![],
            usage: None,
            components: vec![],
        };
        let asked = |kind: &str, name: &str, value: &str| asks(&one, &Scope::Type(kind.into()), name, value);
        for (name, value) in [
            ("nick", "a"),
            ("nick:exact", "a"),
            ("_sort", "birthdate,-nick"),
            ("_filter", "birthdate gt 2000 and (nick eq a)"),
            ("link:Patient.nick:contains", "a"),
            ("_has:Observation:subject:nick", "a"),
            ("_revinclude", "Patient:nick"),
        ] {
            assert!(asked("Patient", name, value), "{name}");
        }
        for (name, value) in
            [("nickname", "nick"), ("_filter", "nickname eq a"), ("_sort", "nickname"), ("name", "nick")]
        {
            assert!(!asked("Patient", name, value), "{name}");
        }
        assert!(!asked("Group", "nick", "a"));
        assert!(asked("Group", "member.nick", "a"));
        assert!(asks(&one, &Scope::System, "nick", "a"));
    }
}
