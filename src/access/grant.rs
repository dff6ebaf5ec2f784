//! What the scopes of a token leave of the rights that roles give: which resources may be seen, and which may be written.

use std::fmt;
use std::sync::Arc;

use anamnesis_fhir::compartment::in_compartment_params;
use anamnesis_fhir::definitions;
use anamnesis_fhir::references::{Target, is_id};
use anamnesis_projections::search::{Restriction, Visible};

use super::scope::{Context, Letter, Scope, Scopes};

/// What an app of a patient may read though it is in no patient's compartment: whom and what records name (as Azure
/// Health Data Services has it).
const OF_EVERYBODY: [&str; 4] = ["Location", "Medication", "Organization", "Practitioner"];

/// The scopes of a token, and whom it was given for. Whatever is done with it stays within [`Grant::restriction`].
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    scopes: Scopes,
    patient: Option<String>,
    fhir_user: Option<(String, String)>,
    encounter: Option<String>,
    owner: Option<(String, String)>,
    /// By [`Letter`].
    restrictions: [Arc<Restriction>; 5],
}

/// What a token says beside its scopes.
#[derive(Clone, Copy, Default)]
pub struct Claims<'a> {
    /// `patient`: the id of the patient in context.
    pub patient: Option<&'a str>,
    /// `fhirUser`: who the user is, as `Type/id`, or with an address of this server before it.
    pub fhir_user: Option<&'a str>,
    /// `encounter`: the id of the encounter in context.
    pub encounter: Option<&'a str>,
    /// The addresses of this server without a last slash.
    pub bases: &'a [String],
}

/// Why scopes cannot be enforced with what a token says. Says nothing of values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantError {
    /// Nothing is allowed.
    #[error("the token has no scopes that are about resources")]
    NoScopes,
    /// A claim that is no id.
    #[error("the claim {0} of the token is no id of this server")]
    NotAnId(&'static str),
    /// There is no patient to bound it to.
    #[error(
        "the token has scopes of patient, but names no patient: neither the claim patient nor a fhirUser that is one"
    )]
    NoPatient,
    /// There is nobody to bound it to.
    #[error("the token has scopes of user, but the claim fhirUser names no user")]
    NoUser,
    /// It is not known what such a user may see.
    #[error(
        "the user that the claim fhirUser names is of a type that this server cannot bound: a Person is in no compartment"
    )]
    UnknownUser,
}

impl Grant {
    /// Bounds scopes by the claims beside them.
    ///
    /// # Errors
    /// [`GrantError`] where something would have to be let through that is not known to be allowed.
    pub fn new(scopes: Scopes, claims: &Claims<'_>) -> Result<Self, GrantError> {
        if scopes.resources().is_empty() {
            return Err(GrantError::NoScopes);
        }
        let id = |name, id: Option<&str>| match id {
            Some(id) if is_id(id) => Ok(Some(id.to_owned())),
            Some(_) => Err(GrantError::NotAnId(name)),
            None => Ok(None),
        };
        let patient = id("patient", claims.patient)?;
        let encounter = id("encounter", claims.encounter)?;
        let fhir_user = claims.fhir_user.map(|text| user(text, claims.bases)).transpose()?;
        let owner = owner(&scopes, patient.as_deref(), fhir_user.as_ref())?;
        let restrictions = Letter::ALL.map(|letter| {
            let mut restriction = Restriction::default();
            for scope in scopes.resources().iter().filter(|scope| scope.letters.has(letter)) {
                allow(&mut restriction, scope, letter, owner.as_ref());
            }
            Arc::new(restriction)
        });
        Ok(Self { scopes, patient, fhir_user, encounter, owner, restrictions })
    }

    /// The scopes.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// The id of the patient in context.
    #[must_use]
    pub fn patient(&self) -> Option<&str> {
        self.patient.as_deref()
    }

    /// The id of the encounter in context.
    #[must_use]
    pub fn encounter(&self) -> Option<&str> {
        self.encounter.as_deref()
    }

    /// The user, as type and id.
    #[must_use]
    pub fn fhir_user(&self) -> Option<(&str, &str)> {
        self.fhir_user.as_ref().map(|(name, id)| (name.as_str(), id.as_str()))
    }

    /// The owner of the compartment that it is bounded to, as type and id; `None` where it is bounded by types and
    /// criteria alone.
    #[must_use]
    pub fn owner(&self) -> Option<(&str, &str)> {
        self.owner.as_ref().map(|(name, id)| (name.as_str(), id.as_str()))
    }

    /// The resources to which this may be done.
    #[must_use]
    pub fn restriction(&self, letter: Letter) -> &Arc<Restriction> {
        let [create, read, update, delete, search] = &self.restrictions;
        match letter {
            Letter::Create => create,
            Letter::Read => read,
            Letter::Update => update,
            Letter::Delete => delete,
            Letter::Search => search,
        }
    }

    /// Names what it allows: the same for tokens that allow the same.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:?}", self.restrictions)
    }

    /// Whether this may be done to some resources of a type, or with `None` of any type.
    #[must_use]
    pub fn allows(&self, letter: Letter, resource_type: Option<&str>) -> bool {
        let restriction = self.restriction(letter);
        match resource_type {
            Some(name) => restriction.has_some(name),
            None => restriction.types().next().is_some(),
        }
    }
}

impl fmt::Debug for Grant {
    /// Without ids of people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Grant")
            .field("scopes", &self.scopes.resources().len())
            .finish_non_exhaustive()
    }
}

/// Who a `fhirUser` is.
fn user(text: &str, bases: &[String]) -> Result<(String, String), GrantError> {
    let target = Target::parse(text).filter(|target| target.version.is_none() && target.is_local(bases));
    let target = target.ok_or(GrantError::NotAnId("fhirUser"))?;
    Ok((target.resource_type.to_owned(), target.id.to_owned()))
}

/// Whose compartment bounds everything that is not of everybody.
fn owner(
    scopes: &Scopes,
    patient: Option<&str>,
    fhir_user: Option<&(String, String)>,
) -> Result<Option<(String, String)>, GrantError> {
    let has = |context| scopes.resources().iter().any(|scope| scope.context == context);
    let user_of = |name: &str| fhir_user.filter(|(resource_type, _)| resource_type == name).cloned();
    if has(Context::Patient) {
        let patient = patient.map(|id| ("Patient".to_owned(), id.to_owned())).or_else(|| user_of("Patient"));
        return patient.map(Some).ok_or(GrantError::NoPatient);
    }
    if !has(Context::User) {
        return Ok(None);
    }
    let user = fhir_user.ok_or(GrantError::NoUser)?;
    match user.0.as_str() {
        // Whom they treat is not known; their roles bound them.
        "Practitioner" | "PractitionerRole" => Ok(None),
        "Patient" | "RelatedPerson" | "Device" => Ok(Some(user.clone())),
        _ => Err(GrantError::UnknownUser),
    }
}

/// Lets be seen, or written, what one scope is about.
fn allow(restriction: &mut Restriction, scope: &Scope, letter: Letter, owner: Option<&(String, String)>) {
    // A system acts for nobody, whoever else the token names.
    let owner = owner.filter(|_| scope.context != Context::System);
    let all = definitions::r4().resource_types().iter().copied();
    for name in all.filter(|name| scope.resource_type.is_none_or(|wanted| wanted == *name)) {
        let criteria = scope.arguments.clone();
        let within = match owner {
            None => None,
            Some(owner) if is_in_compartments(&owner.0, name) => Some(owner.clone()),
            Some(_) if is_of_everybody(name, letter) => None,
            Some(_) => continue,
        };
        restriction.allow(name, Visible { within, criteria });
    }
}

fn is_in_compartments(owner_type: &str, resource_type: &str) -> bool {
    owner_type == resource_type || !in_compartment_params(owner_type, resource_type).is_empty()
}

fn is_of_everybody(resource_type: &str, letter: Letter) -> bool {
    OF_EVERYBODY.contains(&resource_type) && matches!(letter, Letter::Read | Letter::Search)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims<'a>(patient: Option<&'a str>, fhir_user: Option<&'a str>) -> Claims<'a> {
        Claims { patient, fhir_user, ..Claims::default() }
    }

    fn grant(scopes: &str, claims: &Claims<'_>) -> Result<Grant, GrantError> {
        Grant::new(Scopes::parse(scopes).unwrap(), claims)
    }

    #[test]
    fn a_patient_scope_is_bounded_to_the_patient() {
        let grant = grant("patient/*.rs patient/Observation.cu", &claims(Some("1"), None)).unwrap();
        assert_eq!(grant.owner(), Some(("Patient", "1")));
        let read = grant.restriction(Letter::Read);
        let own = [Visible::within("Patient", "1")];
        assert_eq!((read.of("Patient"), read.of("Observation")), (own.as_slice(), own.as_slice()));
        for name in OF_EVERYBODY {
            assert!(read.has_all(name) && grant.restriction(Letter::Search).has_all(name), "{name}");
            assert!(!grant.allows(Letter::Update, Some(name)), "{name}");
        }
        for name in
            ["PractitionerRole", "ValueSet", "StructureDefinition", "Subscription", "HealthcareService"]
        {
            assert!(!grant.allows(Letter::Read, Some(name)), "{name}");
        }
        assert!(grant.allows(Letter::Create, Some("Observation")) && grant.allows(Letter::Update, None));
        assert!(!grant.allows(Letter::Create, Some("Condition")) && !grant.allows(Letter::Delete, None));
    }

    /// Nothing that a patient's scope lets through is unbounded but what is of everybody.
    #[test]
    fn no_patient_scope_is_unbounded() {
        for scopes in ["patient/*.cruds", "patient/*.*", "patient/*.rs?_tag=x", "user/*.cruds"] {
            let grant = grant(scopes, &claims(None, Some("Patient/1"))).unwrap();
            for letter in Letter::ALL {
                let restriction = grant.restriction(letter);
                for name in restriction.types() {
                    let of_everybody = is_of_everybody(name, letter);
                    let is_own =
                        |one: &Visible| one.within.as_ref() == Some(&("Patient".to_owned(), "1".to_owned()));
                    assert!(
                        restriction.of(name).iter().all(|one| is_own(one) || of_everybody),
                        "{scopes} {name}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_user_is_bounded_by_who_it_is() {
        let of = |user| grant("user/Observation.rs", &claims(None, Some(user)));
        assert!(of("Practitioner/1").unwrap().restriction(Letter::Read).has_all("Observation"));
        assert_eq!(of("Practitioner/1").unwrap().owner(), None);
        assert_eq!(of("RelatedPerson/1").unwrap().owner(), Some(("RelatedPerson", "1")));
        let of_related = of("RelatedPerson/1").unwrap();
        let within = Visible::within("RelatedPerson", "1");
        assert_eq!(of_related.restriction(Letter::Search).of("Observation"), [within]);
        assert_eq!(of("Person/1"), Err(GrantError::UnknownUser));
        assert_eq!(of("Organization/1"), Err(GrantError::UnknownUser));
        for bad in [
            "1",
            "Patient",
            "Patient/",
            "Patient/a/b",
            "http://elsewhere/Patient/1",
            "Patient/1/_history/1",
            "",
        ] {
            assert_eq!(of(bad), Err(GrantError::NotAnId("fhirUser")), "{bad}");
        }
        let bases = ["http://here/fhir".to_owned()];
        let here =
            Claims { fhir_user: Some("http://here/fhir/Patient/1"), bases: &bases, ..Claims::default() };
        assert_eq!(grant("user/*.rs", &here).unwrap().owner(), Some(("Patient", "1")));
        assert_eq!(grant("user/*.rs", &claims(Some("1"), None)), Err(GrantError::NoUser));
    }

    #[test]
    fn what_names_nobody_is_refused() {
        assert_eq!(grant("patient/*.rs", &claims(None, None)), Err(GrantError::NoPatient));
        assert_eq!(grant("patient/*.rs", &claims(None, Some("Practitioner/1"))), Err(GrantError::NoPatient));
        assert_eq!(grant("patient/*.rs", &claims(Some("a/b"), None)), Err(GrantError::NotAnId("patient")));
        assert_eq!(grant("openid launch", &claims(Some("1"), None)), Err(GrantError::NoScopes));
    }

    #[test]
    fn a_system_is_bounded_by_types_and_arguments() {
        let grant = grant("system/Observation.rs?code=x system/Patient.r", &claims(Some("1"), None)).unwrap();
        assert_eq!(grant.owner(), None);
        assert!(grant.restriction(Letter::Read).has_all("Patient"));
        assert!(!grant.allows(Letter::Search, Some("Patient")));
        let criteria = vec![("code".to_owned(), "x".to_owned())];
        assert_eq!(grant.restriction(Letter::Search).of("Observation"), [Visible { within: None, criteria }]);
    }
}
