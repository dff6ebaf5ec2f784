//! Text in XML: character references, white space of attributes, and the characters that XML 1.0 allows.

use std::borrow::Cow;

/// The character that a reference (between `&` and `;`) stands for. FHIR's XML has no document type, so only the
/// five entities of XML are known.
pub(crate) fn character(reference: &str) -> Option<char> {
    let number = match reference.strip_prefix('#') {
        None => {
            return Some(match reference {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                "apos" => '\'',
                _ => return None,
            });
        }
        Some(number) => match number.strip_prefix('x') {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
            None => number.parse().ok()?,
        },
    };
    char::from_u32(number).filter(|letter| is_allowed(*letter))
}

/// Whether XML 1.0 allows a character (production 2).
pub(super) fn is_allowed(letter: char) -> bool {
    (letter >= ' ' || matches!(letter, '\t' | '\r' | '\n')) && !matches!(letter, '\u{fffe}' | '\u{ffff}')
}

/// The value of an attribute: references resolved, white space that is written plainly made spaces (XML 1.0 section
/// 3.3.3). `&#xA;` stays a line feed.
///
/// # Errors
/// An unknown entity, `<`, or a character that XML does not allow.
pub(super) fn attribute_value(raw: &str) -> Result<Cow<'_, str>, &'static str> {
    let is_plain = |byte: u8| byte >= b' ' && !matches!(byte, b'&' | b'<') && byte != 0xef;
    if raw.bytes().all(is_plain) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut letters = raw.char_indices();
    while let Some((offset, letter)) = letters.next() {
        match letter {
            // A line end of two characters is one (section 2.11).
            '\r' if raw.get(offset + 1..).is_some_and(|rest| rest.starts_with('\n')) => {}
            '\t' | '\n' | '\r' => value.push(' '),
            '<' => return Err("'<' in an attribute; write &lt;"),
            '&' => {
                let rest = raw.get(offset + 1..).unwrap_or_default();
                let fault = "a reference that is not known; write &amp; for '&'";
                let (reference, _) = rest.split_once(';').ok_or(fault)?;
                value.push(character(reference).ok_or(fault)?);
                // The letters of the reference are one byte each, for it is known; and the semicolon.
                letters.nth(reference.len());
            }
            letter if is_allowed(letter) => value.push(letter),
            _ => return Err("a character that XML does not allow"),
        }
    }
    Ok(Cow::Owned(value))
}

/// Appends a text as the inside of an attribute in double quotes; `None` where XML does not allow one of its characters.
/// White space other than the space is written as references, which no reader turns into spaces.
pub(super) fn escape_into(out: &mut Vec<u8>, text: &str) -> Option<()> {
    let mut buffer = [0; 4];
    for letter in text.chars() {
        let written: &[u8] = match letter {
            '&' => b"&amp;",
            '<' => b"&lt;",
            '>' => b"&gt;",
            '"' => b"&quot;",
            '\t' => b"&#x9;",
            '\n' => b"&#xA;",
            '\r' => b"&#xD;",
            letter if is_allowed(letter) => letter.encode_utf8(&mut buffer).as_bytes(),
            _ => return None,
        };
        out.extend_from_slice(written);
    }
    Some(())
}
