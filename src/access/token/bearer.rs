//! How an access token comes: in one header `Authorization`, and nowhere else (RFC 6750 section 2.1).

use crate::access::Denied;

/// The longest token, in bytes. Those of Entra with two hundred groups have some ten thousand.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// The parameter that RFC 6750 section 2.3 allows and advises against: addresses end up in logs.
const PARAMETER: &str = "access_token";

/// The token of a request, from the lines of its header `Authorization` and its query.
///
/// # Errors
/// There is none, there are several, it stands in the query, or it has no form of a token.
pub fn token<'a>(lines: &[&'a [u8]], query: &str) -> Result<&'a str, Denied> {
    let names = query.split(['&', ';']).map(|pair| pair.split('=').next().unwrap_or_default());
    if names.into_iter().any(|name| name.eq_ignore_ascii_case(PARAMETER)) {
        return Err(Denied::Request(
            "access tokens are taken from the header Authorization, not from the query",
        ));
    }
    let line = match lines {
        [] => return Err(Denied::NoToken),
        [line] => *line,
        _ => return Err(Denied::Request("there is more than one header Authorization")),
    };
    let line =
        std::str::from_utf8(line).map_err(|_| Denied::Token("the header Authorization is not ASCII"))?;
    // Names of schemes are the same in any case, and spaces follow (RFC 9110 section 11.4).
    let (scheme, token) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Denied::NoToken);
    }
    let token = token.trim_start();
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Denied::Token("the access token is too long"));
    }
    // RFC 6750 section 2.1, b64token.
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(is_of_token) {
        return Err(Denied::Token("the header Authorization holds no token"));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_header_in_any_case_holds_the_token() {
        for line in ["Bearer a.b.c", "bearer a.b.c", "BEARER   a.b.c ", " Bearer a.b.c"] {
            assert_eq!(token(&[line.as_bytes()], "name=x"), Ok("a.b.c"), "{line}");
        }
    }

    #[test]
    fn another_scheme_is_no_token() {
        for line in ["Basic dXNlcjpwYXNz", "", "Bearer: x", "Token a.b.c"] {
            assert_eq!(token(&[line.as_bytes()], ""), Err(Denied::NoToken), "{line}");
        }
        assert_eq!(token(&[], ""), Err(Denied::NoToken));
    }

    #[test]
    fn what_is_given_twice_or_in_the_query_is_refused() {
        let line: &[u8] = b"Bearer a.b.c";
        assert!(matches!(token(&[line, line], ""), Err(Denied::Request(_))));
        for query in ["access_token=a.b.c", "name=x&access_token=a", "ACCESS_TOKEN", "a=b;access_token=c"] {
            assert!(matches!(token(&[line], query), Err(Denied::Request(_))), "{query}");
            assert!(matches!(token(&[], query), Err(Denied::Request(_))), "{query}");
        }
        assert_eq!(token(&[line], "x=access_token"), Ok("a.b.c"));
    }

    #[test]
    fn what_has_no_form_of_a_token_is_refused() {
        let long = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX + 1));
        for line in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer \u{e4}", &long] {
            assert!(matches!(token(&[line.as_bytes()], ""), Err(Denied::Token(_))), "{line:.20}");
        }
        assert!(matches!(token(&[b"Bearer \xff"], ""), Err(Denied::Token(_))));
        let longest = format!("Bearer {}", "a".repeat(TOKEN_BYTES_MAX));
        assert!(token(&[longest.as_bytes()], "").is_ok());
    }
}
