//! A body: what its vital signs and blood values are on a day, and how they drift over the years.

mod blood;
mod curves;

pub(super) use blood::BloodSample;

use super::calendar::Day;
use super::codes::conditions::{Effect, Sex};
use super::codes::laboratory::ANALYTE_COUNT;
use super::dice::Dice;
use super::json::Decimal;
use curves::interpolate;

/// What is constant in one person, and what changes slowly.
pub(super) struct Body {
    sex: Sex,
    born: Day,
    adult_height_cm: f64,
    /// Body mass index at 30 years, and how much it changes a year.
    mass_index: f64,
    mass_index_a_year: f64,
    /// Offsets from the mean of the age, in standard deviations.
    pressure: f64,
    pulse: f64,
    growth: f64,
    /// How this person's blood values differ from others', in standard deviations, by analyte.
    blood: [f64; ANALYTE_COUNT],
}

/// The vital signs of one visit, as measured and rounded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vitals {
    pub(super) height_cm: Decimal,
    pub(super) weight_kg: Decimal,
    pub(super) mass_index: Decimal,
    pub(super) systolic: Decimal,
    pub(super) diastolic: Decimal,
    pub(super) pulse: Decimal,
    pub(super) breaths: Decimal,
    pub(super) temperature: Decimal,
    pub(super) saturation: Decimal,
    pub(super) head_cm: Decimal,
}

/// Height as a share of the adult height, by age, for women and men.
const HEIGHT_FEMALE: &[(f64, f64)] = &[
    (0.0, 0.305),
    (0.5, 0.405),
    (1.0, 0.455),
    (2.0, 0.525),
    (4.0, 0.62),
    (6.0, 0.705),
    (8.0, 0.78),
    (10.0, 0.845),
    (12.0, 0.925),
    (14.0, 0.98),
    (16.0, 1.0),
];
const HEIGHT_MALE: &[(f64, f64)] = &[
    (0.0, 0.285),
    (0.5, 0.385),
    (1.0, 0.43),
    (2.0, 0.495),
    (4.0, 0.58),
    (6.0, 0.655),
    (8.0, 0.725),
    (10.0, 0.785),
    (12.0, 0.845),
    (14.0, 0.925),
    (16.0, 0.98),
    (18.0, 1.0),
];
/// Body mass index of children.
const CHILD_MASS_INDEX: &[(f64, f64)] = &[
    (0.0, 13.6),
    (0.3, 16.6),
    (1.0, 17.0),
    (2.0, 16.3),
    (5.0, 15.4),
    (10.0, 16.8),
    (15.0, 20.2),
    (20.0, 23.0),
];
const PULSE: &[(f64, f64)] =
    &[(0.0, 132.0), (1.0, 115.0), (5.0, 95.0), (10.0, 84.0), (18.0, 72.0), (80.0, 71.0)];
const BREATHS: &[(f64, f64)] = &[(0.0, 40.0), (1.0, 30.0), (5.0, 22.0), (10.0, 19.0), (18.0, 15.0)];
const SYSTOLIC: &[(f64, f64)] =
    &[(0.0, 74.0), (1.0, 88.0), (5.0, 96.0), (10.0, 103.0), (18.0, 114.0), (40.0, 119.0), (85.0, 132.0)];
const DIASTOLIC: &[(f64, f64)] =
    &[(0.0, 46.0), (1.0, 52.0), (5.0, 58.0), (10.0, 63.0), (18.0, 70.0), (50.0, 78.0), (85.0, 72.0)];
const HEAD_CM: &[(f64, f64)] =
    &[(0.0, 34.6), (0.25, 40.2), (0.5, 43.0), (1.0, 46.0), (2.0, 48.3), (3.0, 49.4)];

impl Body {
    /// Draws a body.
    pub(super) fn draw(dice: &mut Dice, sex: Sex, born: Day, overweight: bool) -> Self {
        let adult_height_cm = match sex {
            Sex::Female => 162.5 + 6.2 * dice.bell(),
            Sex::Male => 176.0 + 6.8 * dice.bell(),
        };
        let mass_index = if overweight { 31.5 + 2.2 * dice.bell().abs() } else { 23.6 + 1.7 * dice.bell() };
        let mut blood = [0.0; ANALYTE_COUNT];
        blood.fill_with(|| dice.bell().clamp(-2.0, 2.0));
        Self {
            sex,
            born,
            adult_height_cm,
            mass_index,
            mass_index_a_year: 0.05 + 0.03 * dice.bell(),
            pressure: dice.bell(),
            pulse: dice.bell(),
            growth: dice.bell(),
            blood,
        }
    }

    /// Measures the vital signs on `day`. `effects` are those of all conditions that hold on that day.
    pub(super) fn vitals(&self, dice: &mut Dice, day: Day, effects: &[Effect]) -> Vitals {
        let age = self.age_years(day);
        let has = |effect| effects.contains(&effect);
        let height_cm = Decimal::new(self.height_cm(age), 1);
        let metres = height_cm.value() / 100.0;
        let weight_kg = Decimal::new(self.mass_index(age) * metres * metres * (1.0 + 0.008 * dice.bell()), 1);
        let mass_index = Decimal::new(weight_kg.value() / (metres * metres), 1);
        // Treated hypertension still stands above the others.
        let pressure = if has(Effect::HighPressure) { 17.0 } else { 0.0 };
        let systolic = interpolate(SYSTOLIC, age) + pressure + 5.0 * self.pressure + 5.0 * dice.bell();
        let diastolic =
            interpolate(DIASTOLIC, age) + pressure * 0.5 + 3.5 * self.pressure + 3.5 * dice.bell();
        let fever = if has(Effect::Fever) { 1.6 + 0.5 * dice.bell().abs() } else { 0.0 };
        let fast = if has(Effect::FastPulse) { 22.0 } else { 0.0 } + fever * 8.0;
        let pulse = interpolate(PULSE, age) + fast + 6.0 * self.pulse + 4.0 * dice.bell();
        let short_of_breath = has(Effect::LowOxygen) || has(Effect::WeakHeart);
        let breaths = interpolate(BREATHS, age) + if short_of_breath { 5.0 } else { 0.0 } + 1.2 * dice.bell();
        let airways = if has(Effect::AirwayLimit) { 1.8 } else { 0.0 };
        let oxygen = if has(Effect::LowOxygen) { 6.0 + 1.5 * dice.bell().abs() } else { 0.0 };
        let saturation = (98.0 - airways - oxygen + 0.7 * dice.bell()).clamp(78.0, 100.0);
        Vitals {
            height_cm,
            weight_kg,
            mass_index,
            systolic: Decimal::new(systolic.max(55.0), 0),
            diastolic: Decimal::new(diastolic.clamp(30.0, systolic.max(55.0) - 18.0), 0),
            pulse: Decimal::new(pulse.max(42.0), 0),
            breaths: Decimal::new(breaths.max(10.0), 0),
            temperature: Decimal::new(36.8 + fever + 0.2 * dice.bell(), 1),
            saturation: Decimal::new(saturation, 0),
            head_cm: Decimal::new(interpolate(HEAD_CM, age) + 1.1 * self.growth + 0.2 * dice.bell(), 1),
        }
    }

    fn age_years(&self, day: Day) -> f64 {
        f64::from(day.days_since(self.born)) / 365.25
    }

    fn height_cm(&self, age: f64) -> f64 {
        let share = match self.sex {
            Sex::Female => interpolate(HEIGHT_FEMALE, age),
            Sex::Male => interpolate(HEIGHT_MALE, age),
        };
        let shrinking = ((age - 60.0) * 0.08).clamp(0.0, 4.0);
        self.adult_height_cm * share - shrinking
    }

    fn mass_index(&self, age: f64) -> f64 {
        let grown = self.mass_index + self.mass_index_a_year * (age - 30.0);
        if age >= 20.0 {
            return grown.clamp(16.5, 52.0);
        }
        // A child's index stands as far from the mean as the adult's will, in proportion.
        interpolate(CHILD_MASS_INDEX, age)
            * (1.0 + (self.mass_index / 23.6 - 1.0) * (age / 20.0).clamp(0.15, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(sex: Sex, overweight: bool) -> Body {
        Body::draw(&mut Dice::new(11, 4), sex, Day::of(1980, 1, 1), overweight)
    }

    #[test]
    fn children_grow_and_the_index_agrees_with_height_and_weight() {
        for sex in [Sex::Female, Sex::Male] {
            let body = body(sex, false);
            let mut dice = Dice::new(1, 1);
            let mut last = 0.0;
            for year in 0..18 {
                let vitals = body.vitals(&mut dice, Day::of(1980 + year, 6, 1), &[]);
                assert!(vitals.height_cm.value() >= last);
                last = vitals.height_cm.value();
                let metres = last / 100.0;
                let index = vitals.weight_kg.value() / (metres * metres);
                assert!((index - vitals.mass_index.value()).abs() <= 0.051, "{index} {vitals:?}");
                assert!(vitals.systolic.value() > vitals.diastolic.value());
            }
        }
    }

    #[test]
    fn conditions_show_in_the_vital_signs() {
        let body = body(Sex::Male, false);
        let day = Day::of(2020, 5, 5);
        let measure = |effects: &[Effect]| body.vitals(&mut Dice::new(5, 5), day, effects);
        let well = measure(&[]);
        let ill = measure(&[Effect::HighPressure, Effect::Fever, Effect::LowOxygen]);
        assert!(ill.systolic.value() > well.systolic.value() + 10.0);
        assert!(ill.temperature.value() >= 38.0 && well.temperature.value() < 37.8);
        assert!(ill.saturation.value() < 95.0 && well.saturation.value() >= 95.0);
        assert!(ill.pulse.value() > well.pulse.value() + 8.0);
    }
}
