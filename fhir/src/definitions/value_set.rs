//! Value sets of required bindings: code lists where R4 has them, a grammar where it names an outside one.

/// A value set that a required or maximum binding names.
#[derive(Debug)]
pub struct ValueSet {
    /// Canonical address without version.
    pub url: &'static str,
    /// How membership is decided.
    pub members: Members,
}

/// The members of a value set.
#[derive(Debug)]
pub enum Members {
    /// All codes are known: per code system its sorted codes.
    Listed(Vec<SystemCodes>),
    /// The codes are those of a grammar or of a list kept by others.
    Grammar(Grammar),
    /// Nothing is known about the codes; every code passes.
    Unknown,
}

/// The codes of one code system in a value set.
#[derive(Debug)]
pub struct SystemCodes {
    /// Address of the code system.
    pub system: &'static str,
    /// Codes, sorted by bytes.
    pub codes: Vec<&'static str>,
}

/// Code systems that R4 uses but does not publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// `urn:ietf:bcp:47`, language tags.
    Language,
    /// `urn:ietf:bcp:13`, MIME types.
    MimeType,
    /// `urn:iso:std:iso:4217`, currencies: three capital letters.
    Currency,
    /// `http://unitsofmeasure.org`, UCUM units.
    Unit,
}

impl Grammar {
    /// The code system that codes of this grammar belong to.
    pub fn system(self) -> &'static str {
        match self {
            Grammar::Language => "urn:ietf:bcp:47",
            Grammar::MimeType => "urn:ietf:bcp:13",
            Grammar::Currency => "urn:iso:std:iso:4217",
            Grammar::Unit => "http://unitsofmeasure.org",
        }
    }
}

impl ValueSet {
    /// Whether a code is listed, in any system or in the given one; `None` where the codes are not listed.
    ///
    /// ```
    /// use anamnesis_fhir::definitions::r4;
    /// let genders = r4().value_set("http://hl7.org/fhir/ValueSet/administrative-gender").unwrap();
    /// assert_eq!(genders.lists(None, "female"), Some(true));
    /// assert_eq!(genders.lists(Some("http://snomed.info/sct"), "female"), Some(false));
    /// ```
    pub fn lists(&self, system: Option<&str>, code: &str) -> Option<bool> {
        let Members::Listed(systems) = &self.members else { return None };
        Some(
            systems
                .iter()
                .filter(|listed| system.is_none_or(|system| system == listed.system))
                .any(|listed| listed.codes.binary_search(&code).is_ok()),
        )
    }
}
