//! The little mathematics that the body needs, made of operations that are exact everywhere.

/// The value of a piecewise linear curve at `x`; constant beyond its ends. The points stand in order.
pub(super) fn interpolate(points: &[(f64, f64)], x: f64) -> f64 {
    let mut before: Option<(f64, f64)> = None;
    for &(at, value) in points {
        if x <= at {
            return match before {
                Some((from, low)) if at > from => low + (value - low) * (x - from) / (at - from),
                _ => value,
            };
        }
        before = Some((at, value));
    }
    before.map_or(0.0, |(_, value)| value)
}

/// `base` to the power of `exponent`, for positive bases near 1.
///
/// The platform's `powf` may differ in its last bit between machines, and a digest of everything generated
/// would then differ as well.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    exponential(exponent * logarithm(base))
}

/// The natural logarithm, by the series of the inverse hyperbolic tangent.
fn logarithm(x: f64) -> f64 {
    const LN_2: f64 = std::f64::consts::LN_2;
    let (mut rest, mut halvings) = (x.max(1e-9), 0.0);
    while rest > 1.5 {
        rest /= 2.0;
        halvings += 1.0;
    }
    while rest < 0.75 {
        rest *= 2.0;
        halvings -= 1.0;
    }
    let ratio = (rest - 1.0) / (rest + 1.0);
    let (mut term, mut sum, mut divisor) = (ratio, 0.0, 1.0);
    for _ in 0..20 {
        sum += term / divisor;
        term *= ratio * ratio;
        divisor += 2.0;
    }
    2.0 * sum + halvings * LN_2
}

/// The exponential function, by its power series after halving the argument eight times.
fn exponential(x: f64) -> f64 {
    let small = x / 256.0;
    let (mut term, mut sum, mut number) = (1.0, 1.0, 1.0);
    for _ in 0..12 {
        term *= small / number;
        sum += term;
        number += 1.0;
    }
    (0..8).fold(sum, |value, _| value * value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_agree_with_the_library_to_ten_digits() {
        for (base, exponent) in
            [(0.7, -0.302), (1.4, -1.2), (0.9938, 71.0), (2.0, 10.0), (0.1, 0.5), (1.0, 3.0)]
        {
            let expected = f64::powf(base, exponent);
            assert!((power(base, exponent) / expected - 1.0).abs() < 1e-10, "{base}^{exponent}");
        }
    }

    #[test]
    fn curves_are_linear_between_and_constant_beyond_their_points() {
        let curve = [(0.0, 1.0), (2.0, 3.0)];
        assert_eq!([-1.0, 0.0, 1.0, 2.0, 9.0].map(|x| interpolate(&curve, x)), [1.0, 1.0, 2.0, 3.0, 3.0]);
        assert_eq!(interpolate(&[], 1.0), 0.0);
    }
}
