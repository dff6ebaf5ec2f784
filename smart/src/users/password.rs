//! Passwords: what is one, and its digest (argon2id).

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization as _;
use zeroize::Zeroizing;

use super::common::is_common;
use super::queue::Queue;
use crate::error::SmartError;
use crate::secret::opaque;

/// Characters at least (NIST SP 800-63B-4 section 3.1.1.2 demands 15 of passwords alone and allows 8 beside a second factor; see
/// the record of decisions).
const LENGTH_MIN: usize = 12;
/// Characters at most.
const LENGTH_MAX: usize = 1_000;
/// Characters that have to be there beside the user's own name.
const BESIDE_NAME_MIN: usize = 8;

/// Memory in KiB, rounds and lanes: what OWASP's "Password Storage Cheat Sheet" asks for of argon2id.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Digests that are made at once: each takes its memory, and a core for some 20 milliseconds.
const AT_ONCE: usize = 2;
/// Those that are made or wait; the last of them waits for about a second.
const WAITING_MAX: usize = 64;

static QUEUE: Queue = Queue::new(AT_ONCE, WAITING_MAX);

/// The digest of a password that nobody has, with which those are compared who do not exist: it takes as long.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| make(opaque().ok()?.as_bytes()).ok());

/// Checks a new password; returns it as its digest is made of it.
pub(crate) fn acceptable(
    password: &str,
    name: &str,
    display: &str,
) -> Result<Zeroizing<String>, &'static str> {
    const LENGTH: &str = "the password has to have 12 to 1,000 characters";
    let normalized = normalized(password).ok_or(LENGTH)?;
    if normalized.chars().count() < LENGTH_MIN {
        return Err(LENGTH);
    }
    if normalized.chars().any(|character| character == '\0') {
        return Err("the password has a character that no keyboard has");
    }
    if is_common(&normalized) {
        return Err("everybody who guesses would try this password soon; choose another one");
    }
    let lower = normalized.to_lowercase();
    let has_name = [name.to_lowercase(), display.to_lowercase()]
        .into_iter()
        .any(|name| lower.contains(&name) && lower.replace(&name, "").chars().count() < BESIDE_NAME_MIN);
    if has_name {
        return Err("the password is little more than the user's name; choose another one");
    }
    Ok(normalized)
}

/// A password as its digest is made of it: the same on each keyboard (NFKC, as NIST SP 800-63B section 3.1.1.2 asks).
fn normalized(password: &str) -> Option<Zeroizing<String>> {
    if password.len() > LENGTH_MAX * 4 {
        return None;
    }
    // Has its size from the beginning, so that no copy stays behind; compatibility characters may still make it grow.
    let mut normalized = Zeroizing::new(String::with_capacity(password.len().saturating_mul(4)));
    normalized.extend(password.nfkc());
    (normalized.chars().count() <= LENGTH_MAX).then_some(normalized)
}

/// The digest of a password that was checked, as a PHC string.
pub(crate) async fn digest(password: Zeroizing<String>) -> Result<String, SmartError> {
    QUEUE.run(move || make(password.as_bytes())).await?
}

/// What checking a password has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checked {
    Wrong,
    Right,
    /// It is right, and its digest was made with other parameters; this is one of today's.
    RightWith(String),
}

/// Checks a password against a digest. Where there is none it takes as long, and the password is wrong.
pub(crate) async fn check(password: &str, digest: Option<String>) -> Result<Checked, SmartError> {
    let password = normalized(password);
    let checked = QUEUE.run(move || {
        let nobody = || NOBODY.clone().ok_or(SmartError::Cryptography("making a digest"));
        let is_somebody = digest.is_some() && password.is_some();
        let digest = if is_somebody { digest.unwrap_or_default() } else { nobody()? };
        let password = password.unwrap_or_default();
        let Ok(parsed) = PasswordHash::new(&digest) else {
            return Err(SmartError::Stored("the digest of a password"));
        };
        let is_right = Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok();
        if !is_right || !is_somebody {
            return Ok(Checked::Wrong);
        }
        Ok(if is_of_today(&parsed) { Checked::Right } else { Checked::RightWith(make(password.as_bytes())?) })
    });
    checked.await?
}

fn is_of_today(digest: &PasswordHash) -> bool {
    let (memory, rounds, lanes) = COST;
    let cost = Params::try_from(digest).map(|known| (known.m_cost(), known.t_cost(), known.p_cost()));
    digest.algorithm.as_str() == "argon2id" && cost == Ok((memory, rounds, lanes))
}

fn make(password: &[u8]) -> Result<String, SmartError> {
    let failed = SmartError::Cryptography("making a digest");
    let (memory, rounds, lanes) = COST;
    let Ok(parameters) = Params::new(memory, rounds, lanes, None) else { return Err(failed) };
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon.hash_password(password).map(|digest| digest.to_string()).map_err(|_| failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(password: &str) -> bool {
        acceptable(password, "grete.mueller", "Grete Müller").is_err()
    }

    #[test]
    fn passwords_are_long_and_no_names() {
        assert!(refused("kurz"));
        assert!(refused("elf letters"));
        assert!(!refused("zwölf signs!"));
        assert!(refused(&"ab".repeat(501)));
        assert!(refused("grete.mueller"));
        assert!(refused("Grete.Mueller1970"));
        assert!(refused("Grete Müller!!"));
        assert!(!refused("grete.mueller und ihr Dackel"));
        assert!(refused("passwordpassword"));
        // One character that becomes eighteen.
        assert!(refused(&"\u{FDFA}".repeat(1_000)));
    }

    #[tokio::test]
    async fn a_password_is_right_however_its_characters_are_composed() {
        let password = acceptable("Zwölf Bögen Büttenpapier", "x", "X").unwrap();
        let made = digest(password).await.unwrap();
        assert!(made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{made}");
        let other = "Zwo\u{308}lf Bo\u{308}gen Bu\u{308}ttenpapier";
        assert_eq!(check(other, Some(made.clone())).await.unwrap(), Checked::Right);
        assert_eq!(check("Zwolf Bogen Buttenpapier", Some(made)).await.unwrap(), Checked::Wrong);
        assert_eq!(check(other, None).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn a_digest_of_other_parameters_is_made_anew() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let old = weak.hash_password(b"what a long password").unwrap().to_string();
        let Checked::RightWith(new) = check("what a long password", Some(old.clone())).await.unwrap() else {
            panic!("the digest stays as weak as it is");
        };
        assert_eq!(check("what a long password", Some(new)).await.unwrap(), Checked::Right);
        assert_eq!(check("another long password", Some(old)).await.unwrap(), Checked::Wrong);
    }
}
