//! `Idempotency-Key`: a write whose reply was lost is sent again and answered with what it recorded the first time
//! (IETF draft-ietf-httpapi-idempotency-key-header).
//!
//! The key is looked up before anything is done, and the log looks again when it records: so of two requests with one
//! key at the same time, on any two servers, one records and both get its answer. Only what was recorded is
//! remembered: a refusal, or a write that found nothing to do, is decided anew when it is sent again.

use actix_web::http::header::{HeaderMap, HeaderName};
use anamnesis_events::{AppendError, Idempotency, Remembered};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::answer::Answer;
use super::call::{Body, Call, Request};
use super::interaction::Interaction;
use super::service::Service;
use super::{provenance, write};
use crate::error::{Failure, FailureKind, IssueCode};

/// The longest key, in characters (Stripe's bound). A UUID has 36.
const KEY_LENGTH_MAX: usize = 255;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that nothing was done now; the name that Stripe has made usual.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request that is to be recorded once: whose it is under which key, and what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    key: Uuid,
    fingerprint: [u8; 32],
}

impl Once {
    /// For the log, with what beside the events is needed to give the same answer again.
    pub(crate) fn noting(&self, note: Vec<u8>) -> Idempotency {
        Idempotency { key: self.key, fingerprint: self.fingerprint, note }
    }
}

/// The header as it was sent; empty, which is no key, where there are several or it is no ASCII text.
pub(super) fn header(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(HEADER);
    let first = lines.next()?;
    let text = if lines.next().is_some() { "" } else { first.to_str().unwrap_or_default() };
    Some(text.to_owned())
}

/// What makes a request the same when it is sent again, where it has a key; gives the request back.
///
/// # Errors
/// 400 for what is no key.
pub(super) async fn once(service: &Service, request: Request) -> Result<(Request, Option<Once>), Failure> {
    let Some(line) = &request.idempotency_key else { return Ok((request, None)) };
    let text = key(line).ok_or_else(malformed)?;
    // Whose key it is: keys of different services and writers are different keys.
    let hash = Sha256::new_with_prefix("anamnesis idempotency key 1\n");
    // Subjects are unique within their issuer, and what one application did is no other's to be told again.
    let principal = &request.principal;
    let of_token = principal.issuer.as_deref().into_iter().chain(principal.client.as_deref());
    let parts = [service.name.as_str(), &principal.subject, &text].into_iter().chain(of_token);
    let mut hash = parts.fold(hash, part);
    if let Some(grant) = &principal.grant {
        // Nor is what one token may see told to another one, or what was done for one patient to who acts for another: scopes of
        // users and systems do not differ by the patient in context, and its records do.
        hash = part(hash, &grant.fingerprint());
        let user = grant.fhir_user().map(|(name, id)| format!("{name}/{id}"));
        for told in [grant.patient(), user.as_deref()] {
            hash.update([u8::from(told.is_some())]);
            hash = part(hash, told.unwrap_or_default());
        }
    }
    let hash: [u8; 32] = hash.finalize().into();
    let (short, _) = hash.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    let key = Uuid::from_bytes(*short);
    let (request, fingerprint) = if body(&request).len() <= service.options.inline_bytes_max {
        let fingerprint = fingerprint(&request);
        (request, fingerprint)
    } else {
        let work = move || {
            let fingerprint = fingerprint(&request);
            (request, fingerprint)
        };
        actix_web::web::block(work).await.map_err(|_stopped| Failure::internal())?
    };
    Ok((request, Some(Once { key, fingerprint })))
}

/// A hash of method, path, query, conditions and body.
fn fingerprint(request: &Request) -> [u8; 32] {
    let conditions = &request.conditions;
    let mut hash = Sha256::new_with_prefix("anamnesis request 1\n");
    for text in [request.method.as_str(), &request.path, &request.query] {
        hash = part(hash, text);
    }
    for condition in [&conditions.if_match, &conditions.if_none_match, &conditions.if_none_exist] {
        // Each is a list of none or one, so that an empty header is not the same as none.
        hash.update([u8::from(condition.is_some())]);
        hash = part(hash, condition.as_deref().unwrap_or_default());
    }
    if let Some(provenance) = &request.provenance {
        hash = part(hash, provenance);
    }
    hash.chain_update(body(request)).finalize().into()
}

fn body(request: &Request) -> &[u8] {
    match &request.body {
        Body::None => &[],
        Body::Bytes(bytes) | Body::JsonPatch(bytes) => bytes,
        Body::Document(document) => document.text().as_bytes(),
    }
}

/// Adds a text after its length, so that no two lists of texts give the same bytes.
fn part(hash: Sha256, text: &str) -> Sha256 {
    hash.chain_update((text.len() as u64).to_be_bytes()).chain_update(text)
}

/// The key in a header: the draft has it as a string in quotes (RFC 9651 section 3.3.3); most clients send it bare.
fn key(line: &str) -> Option<String> {
    let line = line.trim();
    let text = match line.strip_prefix('"') {
        Some(rest) => unquote(rest)?,
        None if line.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\,;".contains(&byte)) => {
            line.to_owned()
        }
        None => return None,
    };
    (1..=KEY_LENGTH_MAX).contains(&text.len()).then_some(text)
}

/// The rest of a string behind its first quote.
fn unquote(rest: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(text),
            '\\' => text.push(characters.next().filter(|next| matches!(next, '"' | '\\'))?),
            plain @ ' '..='~' => text.push(plain),
            _ => return None,
        }
    }
}

fn malformed() -> Failure {
    let text = format!(
        "Idempotency-Key is one string of 1 to {KEY_LENGTH_MAX} printable ASCII characters, in quotes; without them it \
         has no quotes, backslashes, commas, semicolons and spaces."
    );
    Failure::new(FailureKind::Invalid, IssueCode::Value, text)
}

/// Does the work unless it was done before under this key, and answers alike either way.
///
/// # Errors
/// Those of the work; 422 where the key stands for another request.
pub(super) async fn answer(
    call: &Call,
    interaction: Interaction,
    once: &Once,
    work: impl Future<Output = Result<Answer, Failure>>,
) -> Result<Answer, Failure> {
    if let Some(answer) = replay(call, interaction, once).await? {
        return Ok(answer);
    }
    let outcome = work.await;
    if outcome.as_ref().is_ok_and(|answer| answer.recorded) {
        return outcome;
    }
    // The same request may have been recorded meanwhile: then that, and not what it came to now, is the answer. So
    // may this one have been, if what became of it was not known.
    match replay(call, interaction, once).await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => outcome,
        Err(failure) if failure.kind() == FailureKind::Unprocessable => Err(failure),
        // Where it cannot be looked up, a refusal might be of what this very request has recorded: come again. A failure
        // says better itself what is known.
        Err(failure) => match outcome {
            Err(failed) if failed.kind().status().is_server_error() => Err(failed),
            _ => Err(failure),
        },
    }
}

/// The answer to a request that was recorded before.
async fn replay(call: &Call, interaction: Interaction, once: &Once) -> Result<Option<Answer>, Failure> {
    let Some(remembered) = call.service.log.remembered(once.key).await? else { return Ok(None) };
    if remembered.fingerprint != once.fingerprint {
        return Err(AppendError::KeyReused.into());
    }
    let mut answer = match interaction {
        Interaction::Transaction | Interaction::Batch => crate::bundle::replay(call, remembered).await?,
        _ => single(call, remembered)?,
    };
    answer.headers.push((REPLAYED, "true".to_owned()));
    Ok(Some(answer))
}

/// The answer of an interaction with one resource: all of it is in its event.
fn single(call: &Call, remembered: Remembered) -> Result<Answer, Failure> {
    let mut events = remembered.events;
    let is_single = events.len() == 1 || provenance::is_of_one_write(&events);
    if is_single && !events.is_empty() {
        return Ok(write::recorded(call, events.swap_remove(0)));
    }
    tracing::error!(events = events.len(), "An idempotency key does not stand for one write.");
    Err(Failure::internal())
}

/// 400: this interaction is several writes, each by itself, which one key cannot name.
pub(crate) fn not_taken(what: &'static str) -> Failure {
    Failure::new(FailureKind::Invalid, IssueCode::NotSupported, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_string_in_quotes_or_a_bare_word() {
        for (line, text) in [
            ("\"8e03978e-40d5\"", Some("8e03978e-40d5")),
            ("8e03978e-40d5", Some("8e03978e-40d5")),
            (r#" "a \"b\\ c" "#, Some(r#"a "b\ c"#)),
            ("", None),
            ("\"\"", None),
            ("\"a", None),
            ("\"a\"b", None),
            (r#""a\b""#, None),
            ("a b", None),
            ("a, b", None),
            ("a;b=c", None),
            ("\"\u{e4}\"", None),
        ] {
            assert_eq!(key(line).as_deref(), text, "{line}");
        }
        let longest = "x".repeat(KEY_LENGTH_MAX);
        assert_eq!(key(&longest), Some(longest.clone()));
        assert_eq!(key(&format!("{longest}x")), None);
        assert_eq!(key(&format!("\"{longest}x\"")), None);
    }
}
