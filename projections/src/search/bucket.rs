//! Buckets: tokens that say roughly where a span lies, so that the token index finds it together with a code.
//!
//! - A **date** is in one bucket of four weeks, a **quantity** in one of a quarter of the way from a power of two to the
//!   next. A search by a code or another token that many have looks for them as well, and what is in them is tested exactly.
//! - What a **component** says by its code is a pair, and a row in a table for each would take a hundred bytes, where a
//!   bucket takes some ten in the row and the index of tokens. It is in a narrow bucket and in a broad one, of a code alone:
//!   a search can start from them. A range is made of the broad ones within it and of narrow ones at its ends.

use super::atom::{Atom, Criterion, Yield};
use super::key::pair;
use super::span::{Span, SpanBox, ordered};

/// The days of one bucket of dates, in microseconds.
const DAYS: i64 = 28 * 86_400_000_000;
/// Buckets of dates that are looked for: some three years. What is asked for more of them leaves much.
const DAYS_MAX: i64 = 40;
/// Of dates that a shorter time is asked for (half a bucket), the table of spans has few enough to start from.
const SHORT: i64 = DAYS / 2;
/// The bits of an ordered number within a bucket of quantities, and the limits between which these lie.
const QUARTER_BITS: u32 = 49;
const QUARTERS: (f64, f64) = (1.0 / (1_u64 << 20) as f64, (1_u64 << 24) as f64);

/// What the spans of a family are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scale {
    /// Dates.
    Days,
    /// Quantities, by the number as it was given.
    Numbers,
}

impl Scale {
    fn bucket(self, end: i64) -> i64 {
        match self {
            Self::Days => end.div_euclid(DAYS),
            // What is below or above the limits has one bucket each.
            Self::Numbers => {
                let (low, high) = (ordered(QUARTERS.0), ordered(QUARTERS.1));
                (end >> QUARTER_BITS).clamp((low >> QUARTER_BITS) - 1, high >> QUARTER_BITS)
            }
        }
    }

    /// The token that a span of this family has.
    pub(super) fn of_span(self, family: i64, span: Span) -> i64 {
        let bucket = self.bucket(span.low);
        pair(family, if bucket == self.bucket(span.high) { bucket } else { WIDE })
    }

    /// Tokens of which all spans that are in a box have one; `None` where they are too many.
    fn of_box(self, span: &SpanBox) -> Option<Vec<i64>> {
        // Both ends of a span that is not wide are in one bucket.
        let first = self.bucket(span.low.0).max(self.bucket(span.high.0));
        let last = self.bucket(span.low.1).min(self.bucket(span.high.1));
        if self == Self::Days && last.saturating_sub(first) >= DAYS_MAX {
            return None;
        }
        Some((first..=last).chain([WIDE]).map(|bucket| pair(span.key, bucket)).collect())
    }
}

/// The criteria, with tokens that say roughly where their spans lie where that helps: where there are tokens to be joined
/// with, and none that few resources have.
pub(super) fn narrowed(criteria: Vec<Criterion>) -> Vec<Criterion> {
    let leaves_few = |one: &Criterion| !one.negated && one.expected == Yield::Few;
    if !criteria.iter().any(Criterion::is_indexed_token) || criteria.iter().any(leaves_few) {
        return criteria;
    }
    let narrow: Vec<Criterion> = criteria.iter().filter_map(of_criterion).collect();
    narrow.into_iter().chain(criteria).collect()
}

fn of_criterion(criterion: &Criterion) -> Option<Criterion> {
    if criterion.negated || criterion.any.is_empty() {
        return None;
    }
    let (mut tokens, mut expected) = (Vec::new(), Yield::Some);
    for atom in &criterion.any {
        let Atom::Span(span) = atom else { return None };
        tokens.extend(span.scale?.of_box(span)?);
        let width = span.high.1.min(span.low.1).saturating_sub(span.low.0.max(span.high.0));
        if span.scale == Some(Scale::Days) && width < SHORT {
            expected = Yield::Most;
        }
    }
    Some(Criterion::implied(tokens, expected))
}

/// The bits of a component's number below its exponent: within a broad bucket.
const BROAD_BITS: u32 = 51;
/// Within a narrow one.
const NARROW_BITS: u32 = 48;
/// Narrow buckets of a broad one.
const NARROW_IN_BROAD: i64 = 1 << (BROAD_BITS - NARROW_BITS);
/// What a component measures lies between these two, both powers of two; what is below or above has one bucket. In canonical units
/// of UCUM a concentration may be some 10^27 to the cubic metre.
const LOW: f64 = 1.0 / (1_u64 << 40) as f64;
const HIGH: f64 = (1_u128 << 100) as f64;

/// The bucket of what lies in no single one: a range, or what has an open end.
const WIDE: i64 = i64::MAX;
/// The bucket of what is below [`LOW`].
const BELOW: i64 = i64::MIN;
/// The bucket of what is [`HIGH`] or above.
const ABOVE: i64 = i64::MAX - 1;

/// The narrow bucket of a number of a component. Those between the limits are thousands, and an eighth of that are the broad
/// ones: no number of a bucket is that of another.
fn narrow(number: i64) -> i64 {
    number >> NARROW_BITS
}

/// The first narrow bucket between the limits, and the first one above.
fn limits() -> (i64, i64) {
    (narrow(ordered(LOW)), narrow(ordered(HIGH)))
}

/// The tokens that a span of this family has.
pub(super) fn of_span(family: i64, span: Span) -> impl Iterator<Item = i64> {
    let (first, beyond) = limits();
    let bucket = narrow(span.low);
    let buckets = if bucket != narrow(span.high) {
        [Some(WIDE), None]
    } else if bucket < first {
        [Some(BELOW), None]
    } else if bucket >= beyond {
        [Some(ABOVE), None]
    } else {
        [Some(bucket), Some(bucket / NARROW_IN_BROAD)]
    };
    buckets.into_iter().flatten().map(move |bucket| pair(family, bucket))
}

/// Tokens of which all spans of this family that are in a box have one.
pub(super) fn of_box(family: i64, span: &SpanBox) -> Vec<i64> {
    let (first, beyond) = limits();
    // Both ends of a span that is not wide are in one bucket.
    let mut at = narrow(span.low.0.max(span.high.0));
    let mut last = narrow(span.low.1.min(span.high.1));
    let mut buckets = vec![WIDE];
    if at < first && last >= at {
        buckets.push(BELOW);
    }
    if last >= beyond && last >= at {
        buckets.push(ABOVE);
    }
    (at, last) = (at.max(first), last.min(beyond - 1));
    while at <= last {
        let is_whole = at % NARROW_IN_BROAD == 0 && at + NARROW_IN_BROAD - 1 <= last;
        buckets.push(if is_whole { at / NARROW_IN_BROAD } else { at });
        at += if is_whole { NARROW_IN_BROAD } else { 1 };
    }
    buckets.into_iter().map(|bucket| pair(family, bucket)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::span::{Family, OPEN_HIGH, Prefix};
    use super::*;

    const FAMILY: Family = Family { key: 7, in_table: false, scale: Some(Scale::Numbers) };

    fn is_in(span: Span, one: &SpanBox) -> bool {
        (one.low.0..=one.low.1).contains(&span.low) && (one.high.0..=one.high.1).contains(&span.high)
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>().prop_filter("finite", |number| number.is_finite()),
            -1e9..1e9,
            0.0..300.0,
            (-50..110_i32).prop_map(|power| 2.0_f64.powi(power)),
            Just(0.0),
        ]
    }

    proptest! {
        #[test]
        fn a_box_has_a_bucket_of_whatever_lies_in_it(
            values in proptest::array::uniform2(number()), asked in proptest::array::uniform2(number()),
            open: (bool, bool), is_point: bool,
        ) {
            let [low, high] = if values[0] <= values[1] { values } else { [values[1], values[0]] };
            let span = match is_point {
                true => Span::of_numbers(Some(low), Some(low)),
                false => Span::of_numbers((!open.0).then_some(low), (!open.1).then_some(high)),
            };
            let [low, high] = if asked[0] <= asked[1] { asked } else { [asked[1], asked[0]] };
            let within = Span::of_numbers(Some(low), Some(high));
            let buckets: Vec<i64> = of_span(7, span).collect();
            let token = Scale::Numbers.of_span(7, span);
            use Prefix::*;
            for prefix in [Eq, Ne, Gt, Lt, Ge, Le, Sa, Eb, Ap] {
                for one in prefix.boxes(FAMILY, within, within, within) {
                    let tokens = of_box(7, &one);
                    prop_assert!(tokens.len() < 160, "{} tokens", tokens.len());
                    if is_in(span, &one) {
                        prop_assert!(Scale::Numbers.of_box(&one).unwrap().contains(&token), "{:?} {:?}", span, one);
                        prop_assert!(buckets.iter().any(|bucket| tokens.contains(bucket)), "{:?} {:?}", span, one);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_time_has_a_bucket_of_whatever_lies_in_it(
            low in -1_000_000_000_000_000..3_000_000_000_000_000_i64, days in 0..3000_i64,
            from in -1_000_000_000_000_000..3_000_000_000_000_000_i64, asked in 0..1500_i64, is_inside: bool, is_open: bool,
        ) {
            const DAY: i64 = 86_400_000_000;
            let within = Span { low: from, high: from + asked * DAY };
            let low = if is_inside { from + low.rem_euclid(asked * DAY + 1) } else { low };
            let high = if is_open { OPEN_HIGH } else { low + days * DAY / 100 };
            let token = Scale::Days.of_span(7, Span { low, high });
            let family = Family { scale: Some(Scale::Days), ..FAMILY };
            use Prefix::*;
            for prefix in [Eq, Ne, Gt, Lt, Ge, Le, Sa, Eb, Ap] {
                for one in prefix.boxes(family, within, within, within) {
                    if let Some(tokens) = Scale::Days.of_box(&one) {
                        prop_assert!(!is_in(Span { low, high }, &one) || tokens.contains(&token), "{:?}", one);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_far_from_a_box_is_in_none_of_its_buckets() {
        let buckets = |value: f64| of_span(7, Span::of_numbers(Some(value), Some(value))).collect::<Vec<_>>();
        let limit = Span::of_numbers(Some(150.0), Some(150.0));
        let [above] = Prefix::Gt.boxes(FAMILY, limit, limit, limit)[..] else { panic!("one box") };
        let tokens = of_box(7, &above);
        for (value, is_found) in [
            (120.0, false),
            (143.9, false),
            (151.0, true),
            (300.0, true),
            (1e12, true),
            (0.0, false),
            (-200.0, false),
        ] {
            assert_eq!(buckets(value).iter().any(|one| tokens.contains(one)), is_found, "{value}");
        }
        assert!(tokens.len() < 110, "{} tokens", tokens.len());
    }
}
