//! Parameters in an entry's `request.url` that say how to write: they are no criteria.

use super::entry::Method;
use crate::api::{Query, delete, parameters};

/// How an entry is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    /// Whether a delete is to leave no version (`hardDelete`).
    pub(super) hard: bool,
    /// Whether the version before is kept where only `meta` changes (`_meta-history`).
    pub(super) meta_history: bool,
}

impl Own {
    /// Where nothing is said.
    pub(super) const NOTHING: Self = Self { hard: false, meta_history: true };

    /// Takes them out of a url, which is left with the others.
    ///
    /// # Errors
    /// What is wrong with a value.
    pub(super) fn take(method: Method, url: &str) -> Result<(String, Self), &'static str> {
        let mut own = Self::NOTHING;
        let Some((path, query)) = url.split_once('?') else { return Ok((url.to_owned(), own)) };
        let parsed = || Query::parse(query).map_err(|_bad| "The query of this url is malformed.");
        let names: &[&str] = match method {
            Method::Delete => {
                own.hard =
                    delete::hard(&parsed()?).map_err(|_bad| "hardDelete is true or false, and said once.")?;
                &delete::HARD
            }
            Method::Put | Method::Patch => {
                let asked = parameters::meta_history(&parsed()?);
                own.meta_history = asked.map_err(|_bad| "_meta-history is true or false, and said once.")?;
                &[parameters::META_HISTORY]
            }
            Method::Post | Method::Get | Method::Head => &[],
        };
        let is_other = |part: &&str| !names.contains(&part.split('=').next().unwrap_or_default());
        let rest: Vec<&str> = query.split('&').filter(is_other).collect();
        let url = if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) };
        Ok((url, own))
    }

    /// Puts them back into the query of a request.
    pub(super) fn add_to(self, query: &mut String) {
        let said = [(self.hard, "hardDelete=true"), (!self.meta_history, "_meta-history=false")];
        for (_, parameter) in said.iter().filter(|(is_said, _)| *is_said) {
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(parameter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_how_to_write_is_taken_out_and_put_back() {
        let take = |method, url| Own::take(method, url);
        let (url, own) = take(Method::Delete, "Patient?name=a&hardDelete=true&b=c").unwrap();
        assert_eq!((url.as_str(), own), ("Patient?name=a&b=c", Own { hard: true, meta_history: true }));
        let (url, own) = take(Method::Put, "Patient/1?_meta-history=false").unwrap();
        assert_eq!((url.as_str(), own), ("Patient/1", Own { hard: false, meta_history: false }));
        let mut query = "a=b".to_owned();
        own.add_to(&mut query);
        assert_eq!(query, "a=b&_meta-history=false");
        let (url, own) = take(Method::Get, "Patient?_meta-history=x&hardDelete=y").unwrap();
        assert_eq!((url.as_str(), own.hard), ("Patient?_meta-history=x&hardDelete=y", false));
        for (method, url) in [
            (Method::Delete, "P/1?hardDelete=1"),
            (Method::Delete, "P/1?hardDelete=true&_hardDelete=false"),
            (Method::Patch, "P/1?_meta-history=no"),
            (Method::Put, "P/1?_meta-history=false&_meta-history=true"),
        ] {
            assert!(take(method, url).is_err(), "{url}");
        }
    }
}
