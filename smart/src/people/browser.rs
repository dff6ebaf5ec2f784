//! The two cookies: which browser it is, and who has signed in with it.
//!
//! The first is there before anybody signs in, so that a request for authorization and its forms belong to the browser in which
//! it began. The second is made anew at each sign-in: one that somebody else has put there gets no rights (session fixation).

use actix_web::HttpRequest;
use actix_web::http::header::COOKIE;

use crate::error::SmartError;
use crate::options::SmartOptions;
use crate::secret::opaque;

/// Characters of the values that this server makes (256 bits, base64url).
const LENGTH: usize = 43;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    Browser,
    Session,
}

/// A browser, and whether it has to be told its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Browser {
    pub(crate) value: String,
    pub(crate) is_new: bool,
}

impl Browser {
    /// The browser that a request comes from.
    pub(crate) fn of(request: &HttpRequest, options: &SmartOptions) -> Result<Self, SmartError> {
        match read(request, options, Cookie::Browser) {
            Some(value) => Ok(Self { value, is_new: false }),
            None => Ok(Self { value: opaque()?, is_new: true }),
        }
    }
}

/// The value of a cookie; none where it is there more than once or was not made here.
pub(crate) fn read(request: &HttpRequest, options: &SmartOptions, cookie: Cookie) -> Option<String> {
    let name = name(options, cookie);
    let headers = request.headers().get_all(COOKIE).filter_map(|header| header.to_str().ok());
    let pairs = headers.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value);
    let value = values.next()?;
    let is_ours = value.len() == LENGTH
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    (is_ours && values.next().is_none()).then(|| value.to_owned())
}

/// The header that gives a browser a value, until it is closed.
pub(crate) fn set(options: &SmartOptions, cookie: Cookie, value: &str) -> String {
    format!("{}={value}; {}", name(options, cookie), attributes(options))
}

/// The header that takes it away.
pub(crate) fn clear(options: &SmartOptions, cookie: Cookie) -> String {
    format!("{}=; Max-Age=0; {}", name(options, cookie), attributes(options))
}

/// `__Secure-` makes browsers take the cookie over TLS only (RFC 6265bis section 4.1.3). `__Host-` would demand the path `/`,
/// which would send the cookies to everything else at this host.
fn name(options: &SmartOptions, cookie: Cookie) -> String {
    let prefix = if options.is_secure() { "__Secure-" } else { "" };
    let name = match cookie {
        Cookie::Browser => "browser",
        Cookie::Session => "session",
    };
    format!("{prefix}anamnesis-{name}")
}

fn attributes(options: &SmartOptions) -> String {
    let secure = if options.is_secure() { "; Secure" } else { "" };
    format!("Path={}/auth; HttpOnly; SameSite=Lax{secure}", options.path())
}
