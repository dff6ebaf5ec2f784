//! Where the included resources of a page go on: what stands in a `related` link.

use anamnesis_events::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::search::page::TOKEN_LENGTH_MAX;

/// The form of tokens; another one is refused.
const FORM: &str = "1";
/// Stands between the parts; in none of them.
const SEPARATOR: char = ' ';

/// Names a page of matches and how many of its included resources have been given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludesToken {
    /// The query that it belongs to, see [`crate::search::SearchQuery::fingerprint_of_page`].
    pub fingerprint: u64,
    /// The position of the log as of which the page shows its resources.
    pub position: Position,
    /// Included resources that have been given.
    pub skip: usize,
    /// The owner of the compartment that was searched, as type and id.
    pub owner: Option<(String, String)>,
    /// The page token of the matches; `None` for the first page.
    pub page: Option<String>,
}

impl IncludesToken {
    /// The token for a URL.
    #[must_use]
    pub fn encode(&self) -> String {
        let (owner_type, owner_id) = self.owner.as_ref().map_or(("", ""), |(name, id)| (name, id));
        let page = self.page.as_deref().unwrap_or_default();
        let (fingerprint, position, skip) = (self.fingerprint, self.position, self.skip);
        let text = format!("{FORM} {fingerprint} {position} {skip} {owner_type} {owner_id} {page}");
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Reads a token; `None` for what is none.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        // A page token within one, and some numbers.
        if text.len() > 2 * TOKEN_LENGTH_MAX {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let parts: Vec<&str> = text.split(SEPARATOR).collect();
        let [FORM, fingerprint, position, skip, owner_type, owner_id, page] = *parts.as_slice() else {
            return None;
        };
        let owner = (!owner_type.is_empty()).then(|| (owner_type.to_owned(), owner_id.to_owned()));
        Some(Self {
            fingerprint: fingerprint.parse().ok()?,
            position: Position::new(position.parse().ok()?),
            skip: skip.parse().ok()?,
            owner,
            page: (!page.is_empty()).then(|| page.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_are_read_as_they_were_written(
            fingerprint: u64, position: u64, skip: usize,
            owner in proptest::option::of(("[A-Z][a-z]{1,9}", "[A-Za-z0-9.-]{1,64}")),
            page in proptest::option::of("[A-Za-z0-9_-]{1,200}"),
        ) {
            let token = IncludesToken { fingerprint, position: Position::new(position), skip, owner, page };
            prop_assert_eq!(IncludesToken::decode(&token.encode()), Some(token));
        }

        #[test]
        fn anything_else_is_no_token(text: String) {
            prop_assert_eq!(IncludesToken::decode(&text), None);
        }
    }
}
