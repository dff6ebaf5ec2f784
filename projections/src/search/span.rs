//! Spans: dates and numbers as pairs of ordered integers, and the boxes that a search asks them to lie in.
//!
//! A date becomes microseconds, a number an integer in the same order as the number. Both then live in one table and
//! are asked by one form of condition. Ends that are open are cut to [`OPEN_LOW`] and [`OPEN_HIGH`], so that
//! Postgres can subtract any two without an overflow.

use anamnesis_fhir::datetime::Interval;

use super::bucket::Scale;

/// Stands for "no lower end". All other ends lie above it.
pub(crate) const OPEN_LOW: i64 = -OPEN_HIGH;
/// Stands for "no upper end".
pub(crate) const OPEN_HIGH: i64 = (1 << 62) - 1;

/// What a resource's value covers; both ends are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    pub(crate) low: i64,
    pub(crate) high: i64,
}

impl Span {
    /// A span of time.
    pub(crate) fn of_time(interval: Interval) -> Self {
        let low = interval.low.clamp(OPEN_LOW, OPEN_HIGH);
        // The interval is open above.
        let high = if interval.high == i64::MAX { OPEN_HIGH } else { interval.high.saturating_sub(1) };
        Self { low, high: high.clamp(low, OPEN_HIGH) }
    }

    /// A number from `low` to `high`; `None` is open.
    pub(crate) fn of_numbers(low: Option<f64>, high: Option<f64>) -> Self {
        let low = low.map_or(OPEN_LOW, ordered);
        Self { low, high: high.map_or(OPEN_HIGH, ordered).max(low) }
    }
}

/// An integer that sorts as the number does. The last bit of the mantissa is lost: 15 digits remain.
pub(crate) fn ordered(number: f64) -> i64 {
    // -0 is 0.
    let bits = i64::from_be_bytes((number + 0.0).to_be_bytes());
    let ordered = if bits < 0 { bits ^ i64::MAX } else { bits };
    (ordered >> 1).clamp(OPEN_LOW + 1, OPEN_HIGH - 1)
}

/// A condition on one span of a family: both ends lie within closed limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SpanBox {
    /// The family, see [`super::key::Class::Span`].
    pub(crate) key: i64,
    /// The family stands in the table of spans too, so that a search can start there.
    pub(crate) in_table: bool,
    /// Resources have tokens that say roughly where their spans lie.
    pub(crate) scale: Option<Scale>,
    pub(crate) low: (i64, i64),
    pub(crate) high: (i64, i64),
}

/// A family of spans, and whether it stands in the table of spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) key: i64,
    pub(crate) in_table: bool,
    pub(crate) scale: Option<Scale>,
}

impl Family {
    /// One whose resources have no tokens that say roughly where the spans lie.
    pub(crate) fn new(key: i64, in_table: bool) -> Self {
        Self { key, in_table, scale: None }
    }
}

/// How dates are compared for equality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DateEquals {
    /// The search value covers the resource's value, as R4 search.html#prefix has it.
    #[default]
    Contains,
    /// The two have some time in common, as Azure Health Data Services has it.
    Overlaps,
}

/// The R4 prefixes (search.html#prefix).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Prefix {
    /// The search value covers the resource's value.
    Eq,
    /// It does not.
    Ne,
    /// The resource's value goes beyond the upper end of the search value.
    Gt,
    /// The resource's value begins before the search value.
    Lt,
    /// `gt` or `eq`.
    Ge,
    /// `lt` or `eq`.
    Le,
    /// The resource's value begins after the search value ends.
    Sa,
    /// The resource's value ends before the search value begins.
    Eb,
    /// The two overlap, within a tolerance of a tenth.
    Ap,
}

impl Prefix {
    /// Takes a prefix off a search value. Without one it is `eq`.
    pub(crate) fn split(text: &str) -> (Self, &str) {
        let prefix = match text.get(..2) {
            Some("eq") => Self::Eq,
            Some("ne") => Self::Ne,
            Some("gt") => Self::Gt,
            Some("lt") => Self::Lt,
            Some("ge") => Self::Ge,
            Some("le") => Self::Le,
            Some("sa") => Self::Sa,
            Some("eb") => Self::Eb,
            Some("ap") => Self::Ap,
            _ => return (Self::Eq, text),
        };
        (prefix, text.get(2..).unwrap_or_default())
    }

    /// The boxes of a family of dates, where equal means to have some time in common.
    pub(crate) fn boxes_that_overlap(self, family: Family, span: Span, around: Span) -> Vec<SpanBox> {
        let boxes = |prefix: Self, around| prefix.boxes(family, span, span, around);
        match self {
            Self::Eq => boxes(Self::Ap, span),
            Self::Ne => [boxes(Self::Sa, span), boxes(Self::Eb, span)].concat(),
            Self::Ge => [boxes(Self::Gt, span), boxes(Self::Ap, span)].concat(),
            Self::Le => [boxes(Self::Lt, span), boxes(Self::Ap, span)].concat(),
            other => boxes(other, around),
        }
    }

    /// The boxes of a family that answer this prefix: any of them.
    ///
    /// `within` is what the search value covers (eq, ne); `edge` is what the comparisons start from, the same for
    /// dates, the bare number for numbers; `around` is `within` widened for `ap`.
    pub(crate) fn boxes(self, family: Family, within: Span, edge: Span, around: Span) -> Vec<SpanBox> {
        const ANY: (i64, i64) = (i64::MIN, i64::MAX);
        let above = |limit: i64| (limit.saturating_add(1), i64::MAX);
        let below = |limit: i64| (i64::MIN, limit.saturating_sub(1));
        let Family { key, in_table, scale } = family;
        let make = |low, high| SpanBox { key, in_table, scale, low, high };
        let equal = make((within.low, i64::MAX), (i64::MIN, within.high));
        match self {
            Self::Eq => vec![equal],
            Self::Ne => vec![make(below(within.low), ANY), make((within.low, i64::MAX), above(within.high))],
            Self::Gt => vec![make(ANY, above(edge.high))],
            Self::Lt => vec![make(below(edge.low), ANY)],
            Self::Ge => vec![make(ANY, above(edge.high)), make((edge.low, i64::MAX), (i64::MIN, edge.high))],
            Self::Le => vec![make(below(edge.low), ANY), make((edge.low, i64::MAX), (i64::MIN, edge.high))],
            Self::Sa => vec![make(above(edge.high), ANY)],
            Self::Eb => vec![make(ANY, below(edge.low))],
            Self::Ap => vec![make((i64::MIN, around.high), (around.low, i64::MAX))],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order() {
        let numbers = [-1e300, -5.4, -5.3, -1e-300, 0.0, 1e-300, 0.1, 5.3, 5.4, 5.400_000_000_000_01, 1e300];
        let keys: Vec<i64> = numbers.iter().map(|number| ordered(*number)).collect();
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
        assert_eq!(ordered(-0.0), ordered(0.0));
        assert!(ordered(f64::INFINITY) < OPEN_HIGH && ordered(f64::NEG_INFINITY) > OPEN_LOW);
    }

    #[test]
    fn open_ends_can_be_subtracted() {
        let span = Span::of_time(Interval::ALWAYS);
        assert!(span.high.checked_sub(span.low).is_some());
        assert_eq!(span, Span { low: OPEN_LOW, high: OPEN_HIGH });
    }

    #[test]
    fn prefixes_are_taken_off() {
        assert_eq!(Prefix::split("ge2013"), (Prefix::Ge, "2013"));
        assert_eq!(Prefix::split("5.4"), (Prefix::Eq, "5.4"));
        assert_eq!(Prefix::split("é"), (Prefix::Eq, "é"));
    }
}
