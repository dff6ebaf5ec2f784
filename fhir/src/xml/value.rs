//! Values of primitives in attributes: the form that those need which JSON does not write as strings.

use crate::definitions::PrimitiveKind;
use crate::definitions::PrimitiveKind::{Boolean, Decimal, Integer, PositiveInt, UnsignedInt};

/// Whether JSON writes a value without quotes (json.html#primitive).
pub(super) fn is_literal(kind: PrimitiveKind) -> bool {
    matches!(kind, Boolean | Decimal | Integer | PositiveInt | UnsignedInt)
}

/// What a value must be that it is not.
pub(super) fn fault(kind: PrimitiveKind, value: &str) -> Option<&'static str> {
    match kind {
        _ if value.is_empty() => Some("must not be empty; leave the element out instead"),
        Boolean if !matches!(value, "true" | "false") => Some("must be true or false"),
        Decimal | Integer | PositiveInt | UnsignedInt if !is_number(value) => {
            Some("must be a number like -1.50 or 2e3")
        }
        _ => None,
    }
}

/// Whether a text is a number of JSON (RFC 8259 section 6), whose grammar is that of `decimal` (datatypes.html).
fn is_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}
