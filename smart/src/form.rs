//! Reads forms (`application/x-www-form-urlencoded`) as OAuth has them: strictly, each parameter once, and never too much.

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, web};
use zeroize::Zeroizing;

use crate::body::Unread;
use crate::error::OAuthErrorCode::InvalidRequest;
use crate::refusal::Refusal;

/// The longest form, in bytes: assertions and tokens have some kilobytes.
pub(crate) const FORM_BYTES_MAX: usize = 64 << 10;
/// Parameters of one form at most.
const PARAMETERS_MAX: usize = 50;

/// The parameters of a form or a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Form {
    pairs: Vec<(String, String)>,
}

impl Form {
    /// Reads the body of a request, which has to be a form. Parameters in the address are refused, since addresses end up in
    /// logs (RFC 6749 section 2.3.1).
    pub(crate) async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Self, Refusal> {
        if !request.query_string().is_empty() {
            return Err(Refusal::new(InvalidRequest, "parameters belong in the body"));
        }
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Refusal::new(InvalidRequest, "the body is no application/x-www-form-urlencoded"));
        }
        Self::parse(&body(payload, FORM_BYTES_MAX).await?)
    }

    /// Takes a form apart. A parameter without a value is as if it were not there (RFC 6749 section 3.2).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut form = Self::default();
        let mut names: Vec<String> = Vec::new();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if names.len() == PARAMETERS_MAX {
                return Err(Refusal::new(InvalidRequest, "there are too many parameters"));
            }
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let name = decoded(parts.next().unwrap_or_default())?;
            let value = decoded(parts.next().unwrap_or_default())?;
            if names.contains(&name) {
                return Err(Refusal::new(InvalidRequest, "a parameter is there more than once"));
            }
            if !value.is_empty() {
                form.pairs.push((name.clone(), value));
            }
            names.push(name);
        }
        Ok(form)
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that has to be there; `missing` says what is missing.
    pub(crate) fn require(&self, name: &str, missing: &'static str) -> Result<&str, Refusal> {
        self.get(name).ok_or_else(|| Refusal::new(InvalidRequest, missing))
    }
}

/// Reads a body up to a bound, in size and in time.
pub(crate) async fn body(payload: web::Payload, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    crate::body::read(payload, bytes_max).await.map_err(|unread| match unread {
        Unread::TooLarge => {
            Refusal::new(InvalidRequest, "the body is too long").with_status(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Unread::Incomplete => Refusal::new(InvalidRequest, "the body cannot be read"),
        Unread::Late => Refusal::new(InvalidRequest, "the body did not arrive in time")
            .with_status(StatusCode::REQUEST_TIMEOUT),
    })
}

/// What stands for something in a form (WHATWG URL section 5.1), but strictly: what is no escape is refused, and so is what is no
/// text for the tables.
pub(crate) fn decoded(bytes: &[u8]) -> Result<String, Refusal> {
    const NO_FORM: Refusal = Refusal::new(InvalidRequest, "the parameters are not encoded as in a form");
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        text.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high.zip(low).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
                value.ok_or(NO_FORM)?
            }
            0 => return Err(NO_FORM),
            other => *other,
        });
    }
    if text.contains(&0) {
        return Err(NO_FORM);
    }
    String::from_utf8(text).map_err(|_| NO_FORM)
}

#[cfg(test)]
mod tests;
