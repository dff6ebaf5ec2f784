//! `near` (R4 location.html#positional-search): places within a distance, on a sphere of the Earth's mean radius.
//!
//! A place is one span: its latitude is the beginning, its longitude the end. So a box of degrees is asked of the table
//! of spans as one of dates is, and the distance is computed for what lies in the box.

use anamnesis_fhir::search::Extracted;

use super::Modifier;
use super::atom::{Atom, Criterion, Yield};
use super::entries::Entries;
use super::key::{Class, ParameterKey};
use super::number::literal;
use super::span::{Span, SpanBox};
use super::value::{Asked, Refusal, split, unescape};

/// The parameter.
pub(super) const CODE: &str = "near";
/// Parts of a degree that are told apart: 11 millimetres of latitude.
pub(super) const PARTS: f64 = 1e7;
/// Added to longitudes: the end of a span is behind its beginning.
pub(super) const EAST: i64 = 10_000_000_000;
/// The mean radius of the Earth in metres (IUGG).
pub(super) const RADIUS: f64 = 6_371_008.8;
/// Kilometres where no distance is given: R4 leaves it to the server.
const DISTANCE_DEFAULT: f64 = 50.0;
/// Half of the way around: everything is nearer.
const METRES_MAX: f64 = 20_015_115.0;
/// The box is made so much larger, in degrees, that rounding leaves nothing out.
const MARGIN: f64 = 1e-5;

/// Adds what a place is found by.
pub(super) fn index(key: &ParameterKey, extracted: Extracted<'_>, entries: &mut Entries) {
    let degrees = |name| extracted.value.get(name).and_then(literal);
    if let (Some(latitude), Some(longitude)) = (degrees("latitude"), degrees("longitude"))
        && is_place(latitude, longitude)
    {
        entries.span(family(key), Span { low: parts(latitude), high: parts(longitude) + EAST }, true);
    }
}

fn family(key: &ParameterKey) -> i64 {
    key.of(Class::Place, &[])
}

fn is_place(latitude: f64, longitude: f64) -> bool {
    latitude.abs() <= 90.0 && longitude.abs() <= 180.0
}

/// Degrees in parts. The numbers are small enough to be whole numbers exactly.
#[expect(clippy::cast_possible_truncation, reason = "at most 180 degrees")]
fn parts(degrees: f64) -> i64 {
    (degrees * PARTS).round() as i64
}

/// What a query asks: `latitude|longitude`, `latitude|longitude|distance` or `latitude|longitude|distance|unit`. Any of
/// the places; the box of each can start a search.
pub(super) fn criterion(asked: &Asked<'_>) -> Result<Criterion, Refusal> {
    if *asked.modifier != Modifier::None {
        return Err(asked.unsupported_modifier());
    }
    let circles = asked.values.iter().map(|value| Circle::parse(value)).collect::<Result<Vec<_>, _>>()?;
    let any = circles.iter().map(|circle| {
        let boxes = circle.boxes(family(asked.key)).into_iter().map(Atom::Span).collect();
        let mut all = vec![Criterion::any(boxes, Yield::Some)];
        // On the other side of the Earth rounding decides, and everything is near anyway.
        if circle.metres < METRES_MAX {
            all.push(Criterion::any(vec![circle.atom(family(asked.key))], Yield::Most));
        }
        Atom::All(all)
    });
    Ok(Criterion::any(any.collect(), Yield::Some))
}

/// A place and a distance in metres.
struct Circle {
    latitude: f64,
    longitude: f64,
    metres: f64,
}

impl Circle {
    fn parse(value: &str) -> Result<Self, Refusal> {
        let bad = || {
            let text = "a place is latitude|longitude, with |distance and |unit (km, m or [mi_us]) behind it";
            Refusal::BadValue(text.to_owned())
        };
        let fields: Vec<_> = split(value, '|').into_iter().map(unescape).collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse().ok()).ok_or_else(bad);
        let (latitude, longitude) = (number(0)?, number(1)?);
        let is_given = fields.get(2).is_some_and(|text| !text.is_empty());
        let distance: f64 = if is_given { number(2)? } else { DISTANCE_DEFAULT };
        let unit = match fields.get(3).map(AsRef::as_ref).unwrap_or_default() {
            "" | "km" => 1000.0,
            "m" => 1.0,
            "[mi_us]" => 6_336_000.0 / 3937.0,
            "mi" | "[mi_i]" => 1609.344,
            "[nmi_i]" => 1852.0,
            _ => return Err(bad()),
        };
        let is_distance = distance.is_finite() && distance >= 0.0;
        if fields.len() > 4 || !is_place(latitude, longitude) || !is_distance {
            return Err(bad());
        }
        Ok(Self { latitude, longitude, metres: (distance * unit).min(METRES_MAX) })
    }

    #[expect(clippy::cast_possible_truncation, reason = "at most half of the way around")]
    fn atom(&self, key: i64) -> Atom {
        let (latitude, longitude) = (parts(self.latitude), parts(self.longitude));
        Atom::Near { key, latitude, longitude, millimetres: (self.metres * 1000.0).ceil() as i64 }
    }

    /// The boxes of degrees that hold the circle: two where it lies across the line where east meets west, and all
    /// longitudes where it holds a pole.
    fn boxes(&self, key: i64) -> Vec<SpanBox> {
        let angle = self.metres / RADIUS;
        let (south, north) = (self.latitude - angle.to_degrees(), self.latitude + angle.to_degrees());
        let make = |west: f64, east: f64| SpanBox {
            key,
            in_table: true,
            scale: None,
            low: (parts((south - MARGIN).max(-90.0)), parts((north + MARGIN).min(90.0))),
            high: (parts((west - MARGIN).max(-180.0)) + EAST, parts((east + MARGIN).min(180.0)) + EAST),
        };
        if south <= -90.0 || north >= 90.0 {
            return vec![make(-180.0, 180.0)];
        }
        // The meridians that touch the circle.
        let half = (angle.sin() / self.latitude.to_radians().cos()).min(1.0).asin().to_degrees();
        let (west, east) = (self.longitude - half, self.longitude + half);
        if west < -180.0 {
            vec![make(-180.0, east), make(west + 360.0, 180.0)]
        } else if east > 180.0 {
            vec![make(west, 180.0), make(-180.0, east - 360.0)]
        } else {
            vec![make(west, east)]
        }
    }
}

/// Whether a place, as its span, is within a distance of another: what `sql/condition.rs` asks of the database.
#[expect(clippy::cast_precision_loss, reason = "at most 180 degrees, and half of the way around")]
pub(super) fn is_near((low, high): (i64, i64), (latitude, longitude): (i64, i64), millimetres: i64) -> bool {
    let radians = |parts: i64| (parts as f64 / PARTS).to_radians();
    let across = (radians(low - latitude) / 2.0).sin().powi(2);
    let along = (radians(high - EAST - longitude) / 2.0).sin().powi(2);
    let haversine = across + radians(latitude).cos() * radians(low).cos() * along;
    haversine <= (millimetres as f64 / 2000.0 / RADIUS).sin().powi(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn distance(one: (f64, f64), other: (f64, f64)) -> f64 {
        let [a, b] =
            [one, other].map(|(latitude, longitude)| (latitude.to_radians(), longitude.to_radians()));
        let half =
            ((b.0 - a.0) / 2.0).sin().powi(2) + a.0.cos() * b.0.cos() * ((b.1 - a.1) / 2.0).sin().powi(2);
        2.0 * RADIUS * half.sqrt().min(1.0).asin()
    }

    proptest! {
        #[test]
        fn boxes_hold_all_that_is_near(
            latitude in -90.0..90.0, longitude in -180.0..180.0, metres in 0.0..3_000_000.0,
            bearing in 0.0..360.0, part in 0.0..1.0,
        ) {
            let circle = Circle { latitude, longitude, metres };
            // A place at a bearing and at a part of the distance.
            let (from, angle): (f64, f64) = (latitude.to_radians(), metres * part / RADIUS);
            let bearing: f64 = f64::to_radians(bearing);
            let to = (from.sin() * angle.cos() + from.cos() * angle.sin() * bearing.cos()).clamp(-1.0, 1.0).asin();
            let turned = (bearing.sin() * angle.sin() * from.cos()).atan2(angle.cos() - from.sin() * to.sin());
            let east = (longitude + turned.to_degrees() + 540.0).rem_euclid(360.0) - 180.0;
            let place = (to.to_degrees(), east);
            prop_assert!(distance((latitude, longitude), place) <= metres + 1.0);
            let (low, high) = (parts(place.0), parts(place.1) + EAST);
            let holds = |one: &SpanBox| (one.low.0..=one.low.1).contains(&low) && (one.high.0..=one.high.1).contains(&high);
            prop_assert!(is_near((low, high), (parts(latitude), parts(longitude)), parts(metres + 1.0) / 10_000));
            prop_assert!(circle.boxes(1).iter().any(holds), "{place:?} {:?}", circle.boxes(1));
        }
    }
}
