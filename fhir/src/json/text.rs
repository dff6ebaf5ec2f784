//! Escaping and unescaping of JSON strings (RFC 8259 section 7).

/// Undoes the escapes of a string that the parser has checked; a fault that it would have refused becomes U+FFFD.
pub(super) fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = escape.chars();
        chars.next();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let (character, used) = unescape_unicode(escape);
                out.push(character);
                rest = escape.get(used..).unwrap_or("");
                continue;
            }
            Some(other) => out.push(other),
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Reads `\uXXXX` or a surrogate pair at the start of `escape`; gives the character and the bytes used.
fn unescape_unicode(escape: &str) -> (char, usize) {
    let unit = |from: usize| escape.get(from..from + 4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    match unit(2) {
        Some(high @ 0xD800..=0xDBFF) => match unit(8) {
            Some(low @ 0xDC00..=0xDFFF) => {
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                (char::from_u32(code).unwrap_or('\u{fffd}'), 12)
            }
            _ => ('\u{fffd}', 6),
        },
        Some(code) => (char::from_u32(code).unwrap_or('\u{fffd}'), 6),
        None => ('\u{fffd}', escape.len()),
    }
}

/// Appends `text` as the inside of a JSON string, with the escapes that RFC 8259 section 7 demands.
pub fn escape_into(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                out.push(if byte >= 0x10 { b'1' } else { b'0' });
                out.push(HEX.get(usize::from(byte & 0xf)).copied().unwrap_or(b'0'));
            }
            _ => out.push(byte),
        }
    }
}

/// `text` as a JSON string literal with its quotes.
///
/// ```
/// assert_eq!(anamnesis_fhir::json::quote("a\"b"), br#""a\"b""#);
/// ```
#[must_use]
pub fn quote(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    escape_into(&mut out, text);
    out.push(b'"');
    out
}
