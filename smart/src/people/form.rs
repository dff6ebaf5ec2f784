//! Parameters of addresses and forms: each at most once (RFC 6749 section 3.1), within bounds.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Payload;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::body::{self, Unread};

/// Bytes of an address's parameters or of a body at most. A request for every resource type's scope has about 6,000.
pub(crate) const BYTES_MAX: usize = 16_384;
/// Parameters at most; the page of consent sends one for each scope.
const COUNT_MAX: usize = 500;

/// Parameters as they were sent, without those that are empty: they count as left out (RFC 6749 section 3.1).
pub(crate) struct Parameters(Vec<(String, Zeroizing<String>)>);

/// What is wrong with parameters, or with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// There is too much of it.
    TooLarge,
    /// It did not arrive whole.
    Incomplete,
    /// It is of another media type.
    MediaType,
    /// It has a character that no text has.
    Character,
    /// A parameter is there more than once.
    Repeated,
}

impl Parameters {
    /// Reads what stands after the question mark of an address.
    pub(crate) fn of_address(request: &HttpRequest) -> Result<Self, Malformed> {
        Self::read(request.query_string().as_bytes())
    }

    /// Reads a form.
    pub(crate) async fn of_form(request: &HttpRequest, body: Payload) -> Result<Self, Malformed> {
        if !has_media_type(request, "application/x-www-form-urlencoded") {
            return Err(Malformed::MediaType);
        }
        Self::read(&read_body(body).await?)
    }

    fn read(text: &[u8]) -> Result<Self, Malformed> {
        if text.len() > BYTES_MAX {
            return Err(Malformed::TooLarge);
        }
        let mut read = Vec::new();
        for (name, value) in form_urlencoded::parse(text) {
            // No text of a database has it.
            if name.contains('\0') || value.contains('\0') {
                return Err(Malformed::Character);
            }
            if read.len() == COUNT_MAX {
                return Err(Malformed::TooLarge);
            }
            if !value.is_empty() {
                read.push((name.into_owned(), Zeroizing::new(value.into_owned())));
            }
        }
        Ok(Self(read))
    }

    /// The value of one that may be there once.
    pub(crate) fn one<'a>(&'a self, name: &str) -> Result<Option<&'a str>, Malformed> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { Err(Malformed::Repeated) } else { Ok(first) }
    }

    /// The values of one that may be there several times.
    pub(crate) fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether any is there more than once.
    pub(crate) fn has_repeated(&self) -> bool {
        self.0.iter().any(|(name, _)| self.all(name).nth(1).is_some())
    }
}

/// Whether a body is said to be of this media type.
pub(crate) fn has_media_type(request: &HttpRequest, wanted: &str) -> bool {
    let said = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    said.split(';').next().is_some_and(|said| said.trim().eq_ignore_ascii_case(wanted))
}

/// Reads a body within its bounds.
pub(crate) async fn read_body(payload: Payload) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    body::read(payload, BYTES_MAX).await.map_err(|unread| match unread {
        Unread::TooLarge => Malformed::TooLarge,
        Unread::Incomplete | Unread::Late => Malformed::Incomplete,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_values_count_as_left_out_and_repeated_ones_are_found() {
        let read = Parameters::read(b"a=1&b=&c=2&c=3&a%3D=%26").unwrap();
        assert_eq!(read.one("a"), Ok(Some("1")));
        assert_eq!(read.one("b"), Ok(None));
        assert_eq!(read.one("c"), Err(Malformed::Repeated));
        assert_eq!(read.one("a="), Ok(Some("&")));
        assert!(read.has_repeated());
        assert!(!Parameters::read(b"a=1&b=1").unwrap().has_repeated());
    }

    #[test]
    fn what_no_database_can_store_and_what_is_too_much_is_refused() {
        assert!(matches!(Parameters::read(b"a=%00"), Err(Malformed::Character)));
        assert!(matches!(Parameters::read(&[b'a'; BYTES_MAX + 1]), Err(Malformed::TooLarge)));
        assert!(matches!(
            Parameters::read("a=1&".repeat(COUNT_MAX + 1).as_bytes()),
            Err(Malformed::TooLarge)
        ));
    }
}
