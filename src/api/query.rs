//! The query of a request: names and values, percent-decoded and checked.

use percent_encoding::percent_decode_str;

use crate::error::{Failure, FailureKind, IssueCode};

/// Parameters in the order in which they came; a name may come more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

/// Parameters that every interaction understands.
pub(crate) const GENERAL: [&str; 2] = ["_format", "_pretty"];

impl Query {
    /// Reads a query string or a form body.
    ///
    /// # Errors
    /// 400 for what is not UTF-8 after decoding, or holds NUL, which no FHIR string may.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that is given once, under one of its names.
    ///
    /// # Errors
    /// 400 where it is given again: of two values one would go unheard.
    pub(crate) fn once(&self, names: &[&str]) -> Result<Option<&str>, Failure> {
        let mut given = self.0.iter().filter(|(name, _)| names.contains(&name.as_str()));
        match (given.next(), given.next()) {
            (Some((name, _)), Some(_)) => {
                let text = format!("{name} is given more than once.");
                Err(Failure::new(FailureKind::Invalid, IssueCode::Duplicate, text))
            }
            (first, _) => Ok(first.map(|(_, value)| value.as_str())),
        }
    }

    /// Whether a parameter says yes or no; `None` where it is not given.
    ///
    /// # Errors
    /// 400 for what is neither, and for what is said more than once.
    pub(crate) fn flag(&self, names: &[&str]) -> Result<Option<bool>, Failure> {
        match self.once(names)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => {
                let name = names.first().copied().unwrap_or_default();
                Err(Failure::invalid(format!("{name} is true or false.")))
            }
        }
    }

    /// The parameters that are not among `names`.
    pub(crate) fn others(&self, names: &[&str]) -> impl Iterator<Item = &(String, String)> {
        self.0.iter().filter(move |(name, _)| !names.contains(&name.as_str()))
    }
}

fn decode(text: &str) -> Result<String, Failure> {
    let is_hex = |pair: &[u8]| pair.len() == 2 && pair.iter().all(u8::is_ascii_hexdigit);
    if text.split('%').skip(1).any(|rest| !is_hex(rest.as_bytes().get(..2).unwrap_or_default())) {
        return Err(Failure::invalid(
            "The query has a % without two hexadecimal digits behind it: it is %25.",
        ));
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced)
        .decode_utf8()
        .map_err(|_bad| Failure::invalid("The query is not UTF-8 after percent-decoding."))?;
    if decoded.contains('\0') {
        return Err(Failure::invalid("The query holds the character NUL, which no FHIR value may."));
    }
    Ok(decoded.into_owned())
}

/// Writes a name or value so that [`Query::parse`] reads it again.
pub(crate) fn encode(text: &str) -> impl std::fmt::Display {
    const KEEP: percent_encoding::AsciiSet = percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~')
        .remove(b':')
        .remove(b',')
        .remove(b'/');
    percent_encoding::percent_encode(text.as_bytes(), &KEEP)
}

/// An address with these parameters.
pub(crate) fn url<'a>(address: &str, parameters: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = address.to_owned();
    for (index, (name, value)) in parameters.enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        url.push_str(&format!("{}={}", encode(name), encode(value)));
    }
    url
}
