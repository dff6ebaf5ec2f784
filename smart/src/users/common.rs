//! Passwords that everybody tries first.

/// Fillings of a base word, at its end.
const ENDINGS: [&str; 12] =
    ["", "1", "12", "123", "1234", "12345", "123456", "!", "1!", "123!", "2024", "2025"];

/// Words that stand in every list of leaked passwords, in lower case without blanks. Alone, twice, or with an ending they are no
/// secret.
const WORDS: [&str; 40] = [
    "password",
    "passwort",
    "passw0rd",
    "p@ssword",
    "p@ssw0rd",
    "kennwort",
    "geheim",
    "secret",
    "letmein",
    "welcome",
    "willkommen",
    "iloveyou",
    "qwerty",
    "qwertyuiop",
    "qwertzuiop",
    "asdfghjkl",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "abc",
    "abcdefgh",
    "abcdefghijkl",
    "admin",
    "administrator",
    "changeme",
    "changeit",
    "default",
    "hospital",
    "krankenhaus",
    "doctor",
    "patient",
    "medical",
    "health",
    "football",
    "sunshine",
    "princess",
    "superman",
    "trustno",
    "monkey",
    "dragon",
    "anamnesis",
];

/// Whether everybody would try this soon.
pub(super) fn is_common(password: &str) -> bool {
    let password: String = password.to_lowercase().split_whitespace().collect();
    is_row(&password) || is_repeated(&password) || is_word(&password)
}

/// Whether it is one of the words with an ending.
fn is_word(password: &str) -> bool {
    WORDS.iter().any(|word| {
        let Some(rest) = password.strip_prefix(word) else { return false };
        ENDINGS.contains(&rest) || WORDS.contains(&rest) || rest.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether each character follows the one before it, upward or downward: `123456789012`, `abcdefghijklm`.
fn is_row(password: &str) -> bool {
    let steps = |step: i64| {
        password.bytes().zip(password.bytes().skip(1)).all(|(a, b)| {
            let next = i64::from(a) + step;
            next == i64::from(b)
                || a == b'9' && b == b'0' && step == 1
                || a == b'0' && b == b'9' && step == -1
        })
    };
    steps(1) || steps(-1)
}

/// Whether it is a piece of up to six characters, again and again.
fn is_repeated(password: &str) -> bool {
    let characters: Vec<char> = password.chars().collect();
    (1..=6).any(|period| characters.iter().zip(characters.iter().skip(period)).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::is_common;

    #[test]
    fn what_everybody_tries_is_found() {
        for common in [
            "password1234",
            "Password 123!",
            "passwordpassword",
            "123456789012",
            "987654321098",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "hospital2025",
            "qwertzuiop123",
            "administrator1",
            "1q2w3e4r5t6y",
        ] {
            assert!(is_common(common), "{common}");
        }
        for good in ["correct horse battery", "mein Hund frisst gern Quark", "9f!kQz77-pLm2"] {
            assert!(!is_common(good), "{good}");
        }
    }
}
