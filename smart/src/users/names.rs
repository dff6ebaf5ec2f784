//! Names of users, and who they are in the record.

use unicode_normalization::UnicodeNormalization as _;

use super::UserError;

/// Characters of a name at most.
const LENGTH_MAX: usize = 200;
/// What users may be in the record (SMART App Launch section "Scopes for requesting identity data").
const KINDS: [&str; 5] = ["Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Person"];

/// What a name has to be.
pub(super) const NAME: &str = "the name has to have 1 to 200 characters, and no control characters";
/// What a name for others has to be.
pub(super) const DISPLAY: &str =
    "the display name has to have 1 to 200 characters, and no control characters";
const FHIR_USER: &str = "fhir_user has to be Patient/, Practitioner/, PractitionerRole/, RelatedPerson/ or Person/ and a logical id";

/// A name as it is compared: however it was typed, on whatever keyboard.
pub(crate) fn folded(name: &str) -> Option<String> {
    if name.len() > LENGTH_MAX * 4 {
        return None;
    }
    // Lower case once more brings nothing new only after both were done.
    let folded: String = name.trim().nfkc().collect::<String>().to_lowercase().nfkc().collect();
    display(&folded)
}

/// A name for others, without blanks around it.
pub(super) fn display(name: &str) -> Option<String> {
    let name = name.trim();
    let is_good =
        !name.is_empty() && name.chars().count() <= LENGTH_MAX && !name.chars().any(char::is_control);
    is_good.then(|| name.to_owned())
}

/// Who a user is in the record: a reference to one of [`KINDS`].
pub(super) fn fhir_user(said: Option<String>) -> Result<Option<String>, UserError> {
    let Some(said) = said else { return Ok(None) };
    let is_good = said.split_once('/').is_some_and(|(kind, id)| KINDS.contains(&kind) && is_logical_id(id));
    if is_good { Ok(Some(said)) } else { Err(UserError::Invalid(FHIR_USER)) }
}

/// As whom a user signs in elsewhere: the issuer, and the subject there where it is known.
pub(super) fn account(
    issuer: Option<String>,
    subject: Option<String>,
) -> Result<Option<(String, Option<String>)>, UserError> {
    const ACCOUNT: &str =
        "upstream has to be an issuer, and subject a subject of it, of 2,048 and 255 characters at most";
    let is_good =
        |text: &String, most| !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control);
    match (issuer, subject) {
        (None, None) => Ok(None),
        (Some(issuer), subject)
            if is_good(&issuer, 2_048) && subject.as_ref().is_none_or(|subject| is_good(subject, 255)) =>
        {
            Ok(Some((issuer, subject)))
        }
        _ => Err(UserError::Invalid(ACCOUNT)),
    }
}

/// Whether a text is a logical id (FHIR R4 section 2.24.0.1).
pub(crate) fn is_logical_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_however_they_are_typed() {
        assert_eq!(folded("  Grete.MÜLLER "), folded("grete.mu\u{308}ller"));
        assert_eq!(folded("ａｎｎａ").as_deref(), Some("anna"));
        assert_eq!(folded(" "), None);
        assert_eq!(folded("a\u{7}b"), None);
        assert_eq!(folded(&"a".repeat(201)), None);
        assert_eq!(folded(&"a".repeat(1_000_000)), None);
    }

    #[test]
    fn users_are_people_of_the_record() {
        assert!(fhir_user(None).is_ok());
        assert!(fhir_user(Some("Patient/a-1.B".into())).is_ok());
        for wrong in
            ["Patient", "Patient/", "Device/1", "Patient/1/2", "Patient/ä", "https://x.example/Patient/1"]
        {
            assert!(fhir_user(Some(wrong.into())).is_err(), "{wrong}");
        }
        assert!(fhir_user(Some(format!("Patient/{}", "a".repeat(65)))).is_err());
    }
}
