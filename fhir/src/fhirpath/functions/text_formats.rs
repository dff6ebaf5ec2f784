//! Encoding and escaping of text: `encode`, `decode`, `escape`, `unescape` (later drafts of FHIRPath).

use super::Call;
use crate::fhirpath::collection::Collection;
use crate::fhirpath::evaluate::Outcome;

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Applies a function that knows some formats; a text that has no such form gives nothing.
fn with_format<'a>(
    call: &Call<'_, 'a>,
    input: &Collection<'a>,
    change: fn(&str, &str) -> Option<String>,
) -> Outcome<'a> {
    let Some((text, format)) = call.text(input)?.zip(call.text_argument(0)?) else {
        return Ok(Collection::empty());
    };
    match change(&text, &format) {
        Some(changed) => call.computed(changed),
        None => Ok(Collection::empty()),
    }
}

pub(super) fn encode<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    with_format(call, &input, |text, format| match format {
        "base64" => Some(to_base64(text.as_bytes(), STANDARD)),
        "urlbase64" => Some(to_base64(text.as_bytes(), URL_SAFE)),
        "hex" => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        "ascii" => {
            Some(text.chars().map(|character| if character.is_ascii() { character } else { '?' }).collect())
        }
        _ => None,
    })
}

pub(super) fn decode<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    with_format(call, &input, |text, format| {
        let bytes = match format {
            "base64" => from_base64(text, STANDARD),
            "urlbase64" => from_base64(text, URL_SAFE),
            "hex" => from_hex(text),
            _ => None,
        };
        bytes.and_then(|bytes| String::from_utf8(bytes).ok())
    })
}

pub(super) fn escape<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    with_format(call, &input, |text, target| match target {
        "html" => Some(escape_html(text)),
        "json" => {
            let quoted = serde_json::to_string(text).ok()?;
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            inner.map(str::to_owned)
        }
        _ => None,
    })
}

pub(super) fn unescape<'a>(call: &Call<'_, 'a>, input: Collection<'a>) -> Outcome<'a> {
    with_format(call, &input, |text, target| match target {
        "html" => Some(unescape_html(text)),
        "json" => unescape_json(text),
        _ => None,
    })
}

fn to_base64(bytes: &[u8], alphabet: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six_bits = (word >> (18 - 6 * place)) & 63;
            let letter = alphabet.get(six_bits as usize).copied().unwrap_or(b'=');
            text.push(char::from(if place <= chunk.len() { letter } else { b'=' }));
        }
    }
    text
}

fn from_base64(text: &str, alphabet: &[u8; 64]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0_u32);
    for letter in text.trim_end_matches('=').bytes() {
        let six_bits = alphabet.iter().position(|known| *known == letter)?;
        word = (word << 6 | u32::try_from(six_bits).ok()?) & 0x00FF_FFFF;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((word >> bits) & 0xFF).ok()?);
        }
    }
    Some(bytes)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len() / 2).map(|pair| u8::from_str_radix(text.get(2 * pair..2 * pair + 2)?, 16).ok()).collect()
}

fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Resolves the five entities of XML and numeric ones; anything else stays as it is.
fn unescape_html(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let found = from.find(';').and_then(|end| Some((entity(from.get(1..end)?)?, from.get(end + 1..)?)));
        match found {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = from.get(1..).unwrap_or("");
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{a0}'),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Resolves the escapes of JSON. Quotes may stand alone: the suite of HL7 has them so. `None` for a bad escape.
fn unescape_json(text: &str) -> Option<String> {
    let mut quoted = String::with_capacity(text.len() + 2);
    let mut escaped = false;
    quoted.push('"');
    for character in text.chars() {
        if character == '"' && !escaped {
            quoted.push('\\');
        }
        escaped = character == '\\' && !escaped;
        quoted.push(character);
    }
    quoted.push('"');
    serde_json::from_str(&quoted).ok()
}
