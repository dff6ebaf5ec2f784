//! Tokens against forged forms (CSRF): they bind a form to the browser, to who is signed in, and to what the page has shown.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What a form belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a> {
    /// The value of the browser's cookie; the key.
    pub(crate) browser: &'a str,
    /// The value of the session's cookie; empty where nobody is signed in.
    pub(crate) session: &'a str,
    /// The request for authorization; empty where there is none.
    pub(crate) request: &'a str,
    /// What the page has shown and the form agrees to.
    pub(crate) shown: &'a str,
}

impl Bound<'_> {
    /// The token.
    pub(crate) fn token(&self) -> String {
        URL_SAFE_NO_PAD.encode(sign(&self.key(), &self.said()))
    }

    /// Whether a token is this one; takes as long for each.
    pub(crate) fn is(&self, token: &str) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else { return false };
        verify(&self.key(), &self.said(), &token).is_ok()
    }

    fn key(&self) -> Key {
        Key::new(HMAC_SHA256, self.browser.as_bytes())
    }

    /// The parts with their lengths before them, so that no two sets of parts say the same.
    fn said(&self) -> Vec<u8> {
        let mut said = Vec::new();
        for part in [self.session, self.request, self.shown] {
            said.extend_from_slice(&(part.len() as u64).to_be_bytes());
            said.extend_from_slice(part.as_bytes());
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_what_it_was_made_for_only() {
        let bound = Bound { browser: "b", session: "s", request: "r", shown: "p" };
        let token = bound.token();
        assert!(bound.is(&token));
        assert!(!Bound { browser: "c", ..bound }.is(&token));
        assert!(!Bound { session: "t", ..bound }.is(&token));
        assert!(!Bound { request: "q", ..bound }.is(&token));
        assert!(!Bound { shown: "o", ..bound }.is(&token));
        assert!(!Bound { session: "", request: "sr", ..bound }.is(&token));
        assert!(!bound.is(""));
        assert!(!bound.is("ä"));
    }
}
