//! The scopes of SMART App Launch (v1 and v2), and their grammar as Azure Health Data Services has it:
//! `(patient|user|system)[/$.](Type|*|all).(read|write|*|cruds)[?arguments]`, and those of launch and identity.
//!
//! ```
//! use anamnesis::access::scope::{Context, Letter, Scopes};
//!
//! let scopes = Scopes::parse("launch/patient openid patient/Observation.rs?category=laboratory").unwrap();
//! let [one] = scopes.resources() else { panic!("there is one of resources") };
//! assert!(one.context == Context::Patient && one.letters.has(Letter::Search) && !one.letters.has(Letter::Update));
//! assert_eq!(one.arguments, [("category".to_owned(), "laboratory".to_owned())]);
//! assert!(Scopes::parse("patient/*.rs user/*.rs").is_err());
//! ```

use std::fmt;

use anamnesis_fhir::definitions;
use anamnesis_projections::search::is_of_results;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Characters of all scopes of a token. Launches ask for some dozen types.
pub const SCOPES_LENGTH_MAX: usize = 16 << 10;
/// Scopes of a token: each type with its own, and some twice with other arguments.
pub const SCOPES_MAX: usize = 512;
/// Arguments of one scope: each is one criterion on every row that a search touches.
pub const ARGUMENTS_MAX: usize = 8;

/// The scope of an emergency: its user gives a reason, and everybody who watches is told.
pub const BREAK_GLASS: &str = "break-glass";

/// What does not bound what resources may be seen: launch and identity.
const OTHERS: [&str; 14] = [
    "launch",
    "launch/patient",
    "launch/encounter",
    "launch/practitioner",
    "openid",
    "fhirUser",
    "profile",
    "email",
    "offline_access",
    "online_access",
    "launch.patient",
    "launch.encounter",
    "launch.practitioner",
    BREAK_GLASS,
];

/// The search parameters of all types that a scope may have as arguments. Others whose names begin so are no criteria of
/// one resource, or are not known when it is written.
const ARGUMENTS_OF_ALL: [&str; 4] = ["_profile", "_security", "_source", "_tag"];

/// The place of the first of these that is no scope, from 1; whether they go together in one token is not looked at.
#[must_use]
pub fn unknown(text: &str) -> Option<usize> {
    let all = text.split(' ').filter(|text| !text.is_empty());
    all.enumerate().find(|(_, text)| Scopes::parse(text).is_err()).map(|(at, _)| at + 1)
}

/// The scopes of a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes {
    resources: Vec<Scope>,
    others: Vec<String>,
}

/// A scope about resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// In whose name.
    pub context: Context,
    /// The resource type; `None` for all.
    pub resource_type: Option<&'static str>,
    /// What may be done.
    pub letters: Letters,
    /// Search parameters and their values, all of which a resource has to answer. Never any where `resource_type` is
    /// `None`, but those that all types have.
    pub arguments: Vec<(String, String)>,
    /// Whether it is written as v1 has it.
    is_first: bool,
}

/// In whose name an app acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// About one patient.
    Patient,
    /// As the user could.
    User,
    /// By itself.
    System,
}

/// Something that a scope may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Letter {
    /// `c`
    Create,
    /// `r`: by id, with versions and history.
    Read,
    /// `u`
    Update,
    /// `d`
    Delete,
    /// `s`: also export, as Azure has it.
    Search,
}

/// What a scope allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Letters(u8);

/// Why scopes are refused. Says nothing of values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// There are too many, or they are too long.
    #[error("there are more than {SCOPES_MAX} scopes, or they have more than {SCOPES_LENGTH_MAX} characters")]
    TooMany,
    /// The n-th scope, from 1, is none.
    #[error("scope {0} is none of SMART App Launch: patient/Type.rs, user/*.cruds, system/Type.read …")]
    Malformed(usize),
    /// The n-th scope names no type.
    #[error("scope {0} names no resource type of R4")]
    UnknownType(usize),
    /// The n-th scope has a letter twice, or one that means nothing.
    #[error("scope {0} allows what there is not, or the same twice: of c, r, u, d and s each once is meant")]
    Letters(usize),
    /// The n-th scope has arguments that cannot be asked of one resource.
    #[error(
        "scope {0} has arguments that are no plain search parameters: chains, _has, modifiers, includes and what says \
         how results are given are not allowed, nor are arguments of read, write and *"
    )]
    Arguments(usize),
    /// Both versions.
    #[error("scopes of SMART v1 (read, write, *) and of v2 (cruds) cannot be mixed")]
    MixedVersions,
    /// Several contexts.
    #[error("scopes of patient cannot be mixed with scopes of user or system")]
    MixedContexts,
}

impl Letters {
    /// Nothing.
    pub const NONE: Self = Self(0);

    /// These.
    #[must_use]
    pub fn of(letters: &[Letter]) -> Self {
        Self(letters.iter().fold(0, |bits, letter| bits | 1 << *letter as u8))
    }

    /// Whether this is among them.
    #[must_use]
    pub fn has(self, letter: Letter) -> bool {
        self.0 & 1 << letter as u8 != 0
    }
}

impl Letter {
    /// All of them, in the order in which SMART has them.
    pub const ALL: [Self; 5] = [Self::Create, Self::Read, Self::Update, Self::Delete, Self::Search];

    fn named(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == letter)
    }

    fn name(self) -> char {
        match self {
            Self::Create => 'c',
            Self::Read => 'r',
            Self::Update => 'u',
            Self::Delete => 'd',
            Self::Search => 's',
        }
    }
}

impl Scopes {
    /// Reads a list of scopes with blanks between them, as the claim `scope` and the parameter have it (RFC 6749
    /// section 3.3). What is said twice counts once.
    ///
    /// # Errors
    /// [`ScopeError`]. Nothing is left out in silence: a scope that is not understood would be one that is not enforced.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        Self::read(text, false)
    }

    /// The same of a token that another authority has given, whose scopes may be about more than resources: what does not
    /// begin as those do allows nothing here, and is passed over.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn of_token(text: &str) -> Result<Self, ScopeError> {
        Self::read(text, true)
    }

    /// The scopes that a client is registered for: those of patients, users and systems may stand side by side, which they may
    /// not in one token. What is none allows nothing.
    #[must_use]
    pub fn of_registration(text: &str) -> Self {
        let mut all = Self::default();
        for text in text.split(' ').filter(|text| !text.is_empty()).take(SCOPES_MAX) {
            if let Ok(one) = Self::parse(text) {
                all.resources.extend(one.resources);
                all.others.extend(one.others);
            }
        }
        all
    }

    fn read(text: &str, passes_over_others: bool) -> Result<Self, ScopeError> {
        if text.len() > SCOPES_LENGTH_MAX {
            return Err(ScopeError::TooMany);
        }
        let mut scopes = Self::default();
        for (at, text) in text.split(' ').filter(|text| !text.is_empty()).enumerate() {
            if at >= SCOPES_MAX {
                return Err(ScopeError::TooMany);
            }
            if let Some(other) = OTHERS.iter().find(|other| **other == text) {
                if !scopes.has_other(other) {
                    scopes.others.push((*other).to_owned());
                }
                continue;
            }
            if passes_over_others && !Scope::is_begun(text) {
                continue;
            }
            let scope = Scope::parse(text, at + 1)?;
            if !scopes.resources.contains(&scope) {
                scopes.resources.push(scope);
            }
        }
        scopes.check()?;
        Ok(scopes)
    }

    fn check(&self) -> Result<(), ScopeError> {
        let Some(first) = self.resources.first() else { return Ok(()) };
        let is_patient = |scope: &Scope| scope.context == Context::Patient;
        if self.resources.iter().any(|scope| scope.is_first != first.is_first) {
            return Err(ScopeError::MixedVersions);
        }
        if self.resources.iter().any(|scope| is_patient(scope) != is_patient(first)) {
            return Err(ScopeError::MixedContexts);
        }
        Ok(())
    }

    /// Those about resources.
    #[must_use]
    pub fn resources(&self) -> &[Scope] {
        &self.resources
    }

    /// What of these lies within those that are allowed: each scope about resources with the letters that one of the allowed ones
    /// gives for all of what it is about, and those of launch and identity that are named there.
    #[must_use]
    pub fn within(&self, allowed: &Self) -> Self {
        let narrowed = |scope: &Scope| {
            let covering = allowed.resources.iter().filter(|other| other.covers(scope));
            let letters = covering.fold(0, |bits, other| bits | other.letters.0) & scope.letters.0;
            // Letters of the first version stand together or not at all.
            let is_kept = letters != 0 && (!scope.is_first || letters == scope.letters.0);
            is_kept.then(|| Scope { letters: Letters(letters), ..scope.clone() })
        };
        Self {
            resources: self.resources.iter().filter_map(narrowed).collect(),
            others: self.others.iter().filter(|other| allowed.has_other(other)).cloned().collect(),
        }
    }

    /// Those of launch and identity.
    #[must_use]
    pub fn others(&self) -> &[String] {
        &self.others
    }

    /// Whether this one of launch and identity is among them.
    #[must_use]
    pub fn has_other(&self, name: &str) -> bool {
        self.others.iter().any(|other| other == name)
    }
}

impl Scope {
    /// Whether everything that the other one is about is about this one, letters aside.
    fn covers(&self, other: &Self) -> bool {
        self.context == other.context
            && self.resource_type.is_none_or(|name| other.resource_type == Some(name))
            && self.arguments.iter().all(|argument| other.arguments.contains(argument))
    }

    /// Whether a text begins as scopes about resources do.
    fn is_begun(text: &str) -> bool {
        let context = text.split_once(['/', '$', '.']).map(|(context, _)| context);
        context.is_some_and(|context| matches!(context, "patient" | "user" | "system"))
    }

    fn parse(text: &str, at: usize) -> Result<Self, ScopeError> {
        let malformed = || ScopeError::Malformed(at);
        let (name, arguments) =
            text.split_once('?').map_or((text, None), |(name, arguments)| (name, Some(arguments)));
        let (context, rest) = name.split_once(['/', '$', '.']).ok_or_else(malformed)?;
        let context = match context {
            "patient" => Context::Patient,
            "user" => Context::User,
            "system" => Context::System,
            _ => return Err(malformed()),
        };
        let (resource_type, letters) = rest.split_once('.').ok_or_else(malformed)?;
        let resource_type = match resource_type {
            "*" | "all" => None,
            name => {
                let known = definitions::r4().resource_types().iter().find(|known| **known == name);
                Some(*known.ok_or(ScopeError::UnknownType(at))?)
            }
        };
        let (letters, is_first) = letters_of(letters).ok_or(ScopeError::Letters(at))?;
        let arguments = match arguments {
            None => Vec::new(),
            Some(text) => arguments_of(text, resource_type)
                .filter(|all| !all.is_empty() && !is_first)
                .ok_or(ScopeError::Arguments(at))?,
        };
        Ok(Self { context, resource_type, letters, arguments, is_first })
    }
}

/// What is allowed, and whether it is written as v1 has it. The order of letters is not looked at (as Azure has it).
fn letters_of(text: &str) -> Option<(Letters, bool)> {
    use Letter::{Create, Delete, Read, Search, Update};
    match text {
        "read" => return Some((Letters::of(&[Read, Search]), true)),
        "write" => return Some((Letters::of(&[Create, Update, Delete]), true)),
        "*" => return Some((Letters::of(&Letter::ALL), true)),
        _ => {}
    }
    let mut letters = Letters::NONE;
    for letter in text.chars() {
        let letter = Letter::named(letter)?;
        if letters.has(letter) {
            return None;
        }
        letters.0 |= Letters::of(&[letter]).0;
    }
    (letters != Letters::NONE).then_some((letters, false))
}

/// Arguments as a query has them; `None` where one of them is no plain criterion of one resource.
fn arguments_of(text: &str, resource_type: Option<&str>) -> Option<Vec<(String, String)>> {
    let decode =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(String::from);
    let mut all = Vec::new();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=')?;
        let (name, value) = (decode(name)?, decode(value)?);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_plain = !name.is_empty() && name.bytes().all(is_name) && !is_of_results(&name);
        let is_of_all = ARGUMENTS_OF_ALL.contains(&name.as_str());
        let is_allowed = is_plain && (is_of_all || !name.starts_with('_') && resource_type.is_some());
        if !is_allowed
            || value.is_empty()
            || value.chars().any(char::is_control)
            || all.len() >= ARGUMENTS_MAX
        {
            return None;
        }
        all.push((name, value));
    }
    Some(all)
}

impl fmt::Display for Context {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Patient => "patient",
            Self::User => "user",
            Self::System => "system",
        })
    }
}

impl fmt::Display for Scope {
    /// As it is asked for.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = match (self.is_first, self.letters) {
            (false, letters) => letters.to_string(),
            (true, letters) if letters == Letters::of(&Letter::ALL) => "*".to_owned(),
            (true, letters) if letters.has(Letter::Read) => "read".to_owned(),
            (true, _) => "write".to_owned(),
        };
        write!(formatter, "{}/{}.{letters}", self.context, self.resource_type.unwrap_or("*"))?;
        for (index, (name, value)) in self.arguments.iter().enumerate() {
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            let sign = if index == 0 { '?' } else { '&' };
            // Names of search parameters have nothing to encode.
            write!(formatter, "{sign}{name}={}", encode(value))?;
        }
        Ok(())
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.others.iter().cloned().chain(self.resources.iter().map(Scope::to_string));
        formatter.write_str(&all.collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Display for Letters {
    /// As v2 has them, in its order.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = Letter::ALL.into_iter().filter(|letter| self.has(*letter));
        letters.map(Letter::name).collect::<String>().fmt(formatter)
    }
}

#[cfg(test)]
mod tests;
