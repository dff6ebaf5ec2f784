//! The answer to an app, which its user's browser takes there.

use url::form_urlencoded::Serializer;

use crate::error::OAuthError;

/// Where an app is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Return {
    pub(crate) redirect_uri: String,
    pub(crate) state: Option<String>,
}

impl Return {
    /// The address for a code (RFC 6749 section 4.1.2), with the issuer (RFC 9207 section 2).
    pub(crate) fn code(&self, issuer: &str, code: &str) -> String {
        self.with(issuer, &[("code", code)])
    }

    /// The address for an error (RFC 6749 section 4.1.2.1).
    pub(crate) fn error(&self, issuer: &str, error: &OAuthError) -> String {
        // RFC 6749 has printable ASCII without quotation marks and backslashes in descriptions.
        let is_plain = |character: &char| matches!(character, ' '..='~') && !['"', '\\'].contains(character);
        let description: String = error.description.chars().filter(is_plain).collect();
        self.with(issuer, &[("error", error.code.name()), ("error_description", &description)])
    }

    fn with(&self, issuer: &str, said: &[(&str, &str)]) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(said);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", issuer);
        // The query of a redirect URI is kept (RFC 6749 section 3.1.2).
        let separator = if self.redirect_uri.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}", self.redirect_uri, query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OAuthErrorCode;

    #[test]
    fn answers_keep_the_query_and_cannot_be_broken_by_the_state() {
        let back = Return {
            redirect_uri: "https://app.example.org/cb?tenant=1".into(),
            state: Some("a&code=evil\r\nX: y#ä".into()),
        };
        assert_eq!(
            back.code("https://fhir.example.org", "c"),
            "https://app.example.org/cb?tenant=1&code=c&state=a%26code%3Devil%0D%0AX%3A+y%23%C3%A4&iss=https%3A%2F%2Ffhir.example.org"
        );
        let error = OAuthError::new(OAuthErrorCode::InvalidScope, "scope \"3\" is\n none");
        let plain = Return { redirect_uri: "app:/cb".into(), state: None };
        assert_eq!(
            plain.error("i", &error),
            "app:/cb?error=invalid_scope&error_description=scope+3+is+none&iss=i"
        );
    }
}
