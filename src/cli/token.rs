//! The access token that a command brings to a server that asks for one.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueHint};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// Where the token is. It is no argument itself: whoever is on the machine can read those.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Token {
    /// A file that holds an access token, for servers that ask for one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
}

impl Token {
    /// The headers of every request.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub(super) fn headers(&self) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let Some(path) = &self.token_file else { return Ok(headers) };
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            bail!("{} holds no access token", path.display());
        }
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| anyhow::anyhow!("{} holds no access token", path.display()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    fn of(text: &str) -> anyhow::Result<HeaderMap> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Token { token_file: Some(file.path().to_owned()) }.headers()
    }

    #[test]
    fn the_token_of_a_file_goes_into_the_header_and_not_into_logs() {
        let headers = of("a.b.c\n").unwrap();
        let value = headers.get(AUTHORIZATION).unwrap();
        assert_eq!(value, "Bearer a.b.c");
        assert!(value.is_sensitive() && !format!("{headers:?}").contains("a.b.c"));
        assert!(Token::default().headers().unwrap().is_empty());
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_repeated() {
        for text in ["", "\n", "a b", "Bearer secret", "secret\u{1}"] {
            let error = of(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
