//! The forms of R4's primitive types (datatypes.html#primitive), matched by hand: no regular expressions.

use crate::datetime::{DateTime, DateTimeError, Time};
use crate::definitions::PrimitiveKind;
use crate::references::is_id;

/// A string holds at most 1 MB (datatypes.html#string).
const STRING_BYTES_MAX: usize = 1024 * 1024;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The form is wrong; says what it must be.
    Form(&'static str),
    /// It is too long; says how long it may be.
    TooLong(&'static str),
    /// Acceptable, but hardly meant.
    Odd(&'static str),
}

type Checked = Result<(), Fault>;

/// Whether JSON has values of the type as strings (json.html#primitive).
pub(super) fn is_text(kind: PrimitiveKind) -> bool {
    use PrimitiveKind::{Boolean, Decimal, Integer, PositiveInt, UnsignedInt};
    !matches!(kind, Boolean | Decimal | Integer | PositiveInt | UnsignedInt)
}

/// Checks the literal of a JSON number. The grammar of JSON numbers is that of `decimal` (datatypes.html).
pub(super) fn number(kind: PrimitiveKind, literal: &str) -> Checked {
    let (low, form) = match kind {
        PrimitiveKind::Integer => {
            (i64::from(i32::MIN), "must be a whole number from -2147483648 to 2147483647")
        }
        PrimitiveKind::UnsignedInt => (0, "must be a whole number from 0 to 2147483647"),
        PrimitiveKind::PositiveInt => (1, "must be a whole number from 1 to 2147483647"),
        _ => return Ok(()),
    };
    // `1.0` and `1e2` are no integers of FHIR, and i64 takes neither.
    match literal.parse::<i64>() {
        Ok(value) if (low..=i64::from(i32::MAX)).contains(&value) => Ok(()),
        _ => Err(Fault::Form(form)),
    }
}

/// Checks a value that JSON has as a string.
pub(super) fn text(kind: PrimitiveKind, text: &str) -> Checked {
    if text.is_empty() {
        return Err(Fault::Form("must not be empty; leave the element out instead"));
    }
    match kind {
        PrimitiveKind::String | PrimitiveKind::Markdown => string(text),
        PrimitiveKind::Code => code(text),
        PrimitiveKind::Id => require(is_id(text), "must be 1 to 64 letters, digits, '-' or '.'"),
        PrimitiveKind::Uri | PrimitiveKind::Url | PrimitiveKind::Canonical => {
            require(!text.bytes().any(|byte| byte <= b' '), "must be a URI without white space")
        }
        PrimitiveKind::Oid => require(is_oid(text), "must be an OID such as urn:oid:1.2.3"),
        PrimitiveKind::Uuid => require(is_uuid(text), "must be urn:uuid: and a UUID in lower case"),
        PrimitiveKind::Base64Binary => require(is_base64(text), "must be base64 (RFC 4648) with its padding"),
        PrimitiveKind::Date => temporal(DateTime::parse_date(text), "must be YYYY, YYYY-MM or YYYY-MM-DD"),
        PrimitiveKind::DateTime => temporal(
            DateTime::parse_date_time(text),
            "must be YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with a time zone",
        ),
        PrimitiveKind::Instant => {
            temporal(DateTime::parse_instant(text), "must be YYYY-MM-DDThh:mm:ss with a time zone")
        }
        PrimitiveKind::Time => temporal(Time::parse(text), "must be hh:mm:ss"),
        // Narrative has its own checker, and the rest are no strings.
        _ => Ok(()),
    }
}

fn require(holds: bool, form: &'static str) -> Checked {
    if holds { Ok(()) } else { Err(Fault::Form(form)) }
}

/// White space is ASCII white space here: the `\S` of R4's expression takes U+00A0 for a letter.
fn string(text: &str) -> Checked {
    if text.len() > STRING_BYTES_MAX {
        return Err(Fault::TooLong("must not be longer than 1 MB"));
    }
    let mut has_content = false;
    for byte in text.bytes() {
        if byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n') {
            return Err(Fault::Form("must not hold control characters but tab, CR and LF"));
        }
        has_content |= byte > b' ';
    }
    if has_content { Ok(()) } else { Err(Fault::Odd("holds nothing but white space")) }
}

fn code(text: &str) -> Checked {
    const FORM: &str = "must be a code: no white space but single spaces inside";
    let mut before = b' ';
    for byte in text.bytes() {
        if byte < b' ' || (byte == b' ' && before == b' ') {
            return Err(Fault::Form(FORM));
        }
        before = byte;
    }
    require(before != b' ', FORM)
}

fn is_oid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("urn:oid:") else { return false };
    let mut arcs = rest.split('.');
    let is_root = arcs.next().is_some_and(|root| matches!(root, "0" | "1" | "2"));
    let mut count = 0;
    let all_arcs = arcs.all(|arc| {
        count += 1;
        arc == "0"
            || (!arc.is_empty() && !arc.starts_with('0') && arc.bytes().all(|byte| byte.is_ascii_digit()))
    });
    is_root && all_arcs && count > 0
}

fn is_uuid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("urn:uuid:") else { return false };
    rest.len() == 36
        && rest.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Base64 in groups of four with padding at the end; white space may stand anywhere (datatypes.html).
fn is_base64(text: &str) -> bool {
    let (mut letters, mut padding) = (0usize, 0usize);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => letters += 1,
            b'=' => padding += 1,
            b' ' | b'\t' | b'\r' | b'\n' => {}
            _ => return false,
        }
    }
    letters > 0 && padding <= 2 && (letters + padding).is_multiple_of(4)
}

fn temporal<T>(parsed: Result<T, DateTimeError>, form: &'static str) -> Checked {
    Err(Fault::Form(match parsed {
        Ok(_) => return Ok(()),
        Err(DateTimeError::Range) => "names a day or a time that does not exist",
        Err(DateTimeError::NoTimeZone) => "needs a time zone, because it has a time",
        Err(_) => form,
    }))
}
