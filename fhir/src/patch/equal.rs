//! Equality as `test` means it (RFC 6902 section 4.6): by content, numbers by their value.

use crate::json::{Kind, Value};

/// Whether two values are equal. Their depth is bounded by the parser's limit.
pub(super) fn equal(left: Value<'_>, right: Value<'_>) -> bool {
    if left.kind() != right.kind() {
        return false;
    }
    match left.kind() {
        Kind::Null => true,
        Kind::Bool => left.raw() == right.raw(),
        Kind::Number => left.raw() == right.raw() || decimal(left.raw()) == decimal(right.raw()),
        Kind::String => left.as_str() == right.as_str(),
        Kind::Array => left.len() == right.len() && left.items().zip(right.items()).all(|(l, r)| equal(l, r)),
        Kind::Object => {
            left.len() == right.len()
                && left.members().all(|(name, l)| right.get(&name).is_some_and(|r| equal(l, r)))
        }
    }
}

/// A number as sign, digits without zeros at either end, and the power of ten of the last digit: `1.50e3` and `1500`
/// both are (false, "15", 2). Exponents beyond 64 bits count as the largest: such numbers are equal where their
/// digits are.
fn decimal(literal: &str) -> (bool, String, i64) {
    let (is_negative, plain) = match literal.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, literal),
    };
    let (mantissa, exponent) = plain.split_once(['e', 'E']).unwrap_or((plain, "0"));
    let exponent: i64 =
        exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN } else { i64::MAX });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let zeros = digits.len() - significant.len();
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return (false, String::new(), 0);
    }
    let shift = i64::try_from(zeros).unwrap_or(0).saturating_sub(i64::try_from(fraction.len()).unwrap_or(0));
    (is_negative, significant.to_owned(), exponent.saturating_add(shift))
}
