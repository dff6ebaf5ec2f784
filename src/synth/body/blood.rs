//! The blood values of one sample, consistent with each other and with the conditions of the day.

use super::Body;
use super::curves::{interpolate, power};
use crate::synth::calendar::Day;
use crate::synth::codes::conditions::{Effect, Sex};
use crate::synth::codes::laboratory::{ANALYTE_COUNT, Analyte, Test};
use crate::synth::dice::Dice;
use crate::synth::json::Decimal;

/// One sample: every test on it is measured once.
pub(in crate::synth) struct BloodSample<'a> {
    body: &'a Body,
    age: f64,
    effects: &'a [Effect],
    /// The values measured so far, by analyte.
    measured: [Option<Decimal>; ANALYTE_COUNT],
}

impl<'a> BloodSample<'a> {
    /// Takes a sample on `day` while `effects` hold.
    pub(in crate::synth) fn take(body: &'a Body, day: Day, effects: &'a [Effect]) -> Self {
        Self { body, age: body.age_years(day), effects, measured: [None; ANALYTE_COUNT] }
    }

    /// Measures `test`; those it is calculated from must have been measured before, as the panels have them.
    pub(in crate::synth) fn measure(&mut self, dice: &mut Dice, test: &Test) -> Decimal {
        let value = self.calculated(test.analyte).unwrap_or_else(|| self.drawn(dice, test));
        let value = Decimal::new(value, test.places);
        if let Some(slot) = self.measured.get_mut(test.analyte as usize) {
            *slot = Some(value);
        }
        value
    }

    fn drawn(&self, dice: &mut Dice, test: &Test) -> f64 {
        let mean = match self.body.sex {
            Sex::Female => test.mean.0,
            Sex::Male => test.mean.1,
        };
        let personal = self.body.blood.get(test.analyte as usize).copied().unwrap_or_default();
        let value =
            mean + test.between * personal + test.within * dice.bell() + self.shift(dice, test.analyte);
        // No substance has less than nothing, and a laboratory reports at least a trace of it.
        value.max(mean * 0.05)
    }

    /// How far the conditions of the day move an analyte.
    fn shift(&self, dice: &mut Dice, analyte: Analyte) -> f64 {
        let when = |effect, size: f64| if self.effects.contains(&effect) { size } else { 0.0 };
        let spread = 1.0 + 0.25 * dice.bell();
        match analyte {
            Analyte::Leukocytes => when(Effect::Inflammation, 5.2) * spread,
            Analyte::Hemoglobin => {
                self.child_hemoglobin() - when(Effect::IronDeficiency, 2.9) - when(Effect::LowFiltration, 1.1)
            }
            Analyte::Erythrocytes => -when(Effect::LowFiltration, 0.35) - when(Effect::IronDeficiency, 0.35),
            Analyte::RedCellWidth => when(Effect::IronDeficiency, 3.4),
            Analyte::Glucose => when(Effect::HighGlucose, 58.0) * spread,
            Analyte::GlycatedHemoglobin => when(Effect::HighGlucose, 2.0) * spread,
            Analyte::UreaNitrogen => when(Effect::LowFiltration, 14.0),
            Analyte::Creatinine => self.child_creatinine() + when(Effect::LowFiltration, 0.62) * spread,
            Analyte::Potassium => when(Effect::LowFiltration, 0.5),
            Analyte::Cholesterol => when(Effect::HighLipids, 46.0) * spread,
            Analyte::Triglycerides => when(Effect::HighLipids, 60.0) + when(Effect::Overweight, 25.0),
            Analyte::HighDensity => -when(Effect::Overweight, 9.0),
            Analyte::Thyrotropin => when(Effect::LowThyroid, 4.2) * spread,
            Analyte::ReactiveProtein => when(Effect::Inflammation, 58.0) * spread,
            Analyte::Ferritin => -when(Effect::IronDeficiency, 61.0),
            Analyte::AlbuminCreatinineRatio => {
                (when(Effect::LowFiltration, 120.0) + when(Effect::HighGlucose, 18.0)) * spread
            }
            Analyte::Troponin => when(Effect::HeartDamage, 3.1) * spread,
            Analyte::NatriureticPeptide => {
                (when(Effect::WeakHeart, 1_450.0) + when(Effect::HeartDamage, 800.0)) * spread
            }
            _ => 0.0,
        }
    }

    /// Values that follow from others of the same sample.
    fn calculated(&self, analyte: Analyte) -> Option<f64> {
        let value =
            |analyte: Analyte| self.measured.get(analyte as usize).copied().flatten().map(Decimal::value);
        match analyte {
            Analyte::Hematocrit => Some(value(Analyte::Hemoglobin)? * 3.0),
            Analyte::CellVolume => Some(
                value(Analyte::Hematocrit).or(value(Analyte::Hemoglobin).map(|grams| grams * 3.0))? * 10.0
                    / value(Analyte::Erythrocytes)?,
            ),
            Analyte::CellHemoglobin => {
                Some(value(Analyte::Hemoglobin)? * 10.0 / value(Analyte::Erythrocytes)?)
            }
            Analyte::CellHemoglobinConcentration => {
                Some(value(Analyte::Hemoglobin)? * 100.0 / value(Analyte::Hematocrit)?)
            }
            Analyte::FiltrationRate => Some(self.filtration_rate(value(Analyte::Creatinine)?)),
            Analyte::LowDensity => Some(
                (value(Analyte::Cholesterol)?
                    - value(Analyte::HighDensity)?
                    - value(Analyte::Triglycerides)? / 5.0)
                    .max(20.0),
            ),
            _ => None,
        }
    }

    /// The CKD-EPI creatinine equation of 2021; for children, who it is not meant for, a healthy value.
    fn filtration_rate(&self, creatinine: f64) -> f64 {
        if self.age < 18.0 {
            return 105.0;
        }
        let (kappa, alpha, factor) = match self.body.sex {
            Sex::Female => (0.7, -0.241, 1.012),
            Sex::Male => (0.9, -0.302, 1.0),
        };
        let ratio = creatinine / kappa;
        142.0 * power(ratio.min(1.0), alpha) * power(ratio.max(1.0), -1.2) * power(0.9938, self.age) * factor
    }

    /// Children have less haemoglobin than the adults of their sex.
    fn child_hemoglobin(&self) -> f64 {
        let missing = if self.body.sex == Sex::Male { 2.6 } else { 1.2 };
        interpolate(&[(1.0, -missing), (10.0, -missing * 0.7), (18.0, 0.0)], self.age)
    }

    /// Children have less muscle and so less creatinine.
    fn child_creatinine(&self) -> f64 {
        interpolate(&[(1.0, -0.42), (10.0, -0.28), (18.0, 0.0)], self.age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::codes::laboratory::{BASIC_METABOLIC, BLOOD_COUNT, GLYCATED_HEMOGLOBIN, LIPIDS};

    fn values(effects: &[Effect], tests: &[Test]) -> Vec<(Analyte, f64)> {
        let body = Body::draw(&mut Dice::new(2, 9), Sex::Female, Day::of(1960, 3, 3), false);
        let mut sample = BloodSample::take(&body, Day::of(2024, 3, 3), effects);
        let mut dice = Dice::new(4, 4);
        tests.iter().map(|test| (test.analyte, sample.measure(&mut dice, test).value())).collect()
    }

    fn value(values: &[(Analyte, f64)], analyte: Analyte) -> f64 {
        values.iter().find(|(name, _)| *name == analyte).unwrap().1
    }

    #[test]
    fn values_of_a_panel_follow_from_each_other() {
        let count = values(&[], BLOOD_COUNT.tests);
        let of = |analyte| value(&count, analyte);
        assert!((of(Analyte::Hematocrit) - 3.0 * of(Analyte::Hemoglobin)).abs() < 0.1);
        let volume = of(Analyte::Hematocrit) * 10.0 / of(Analyte::Erythrocytes);
        assert!((of(Analyte::CellVolume) - volume).abs() < 0.1);
        let lipids = values(&[], LIPIDS.tests);
        let of = |analyte| value(&lipids, analyte);
        let low = of(Analyte::Cholesterol) - of(Analyte::HighDensity) - of(Analyte::Triglycerides) / 5.0;
        assert!((of(Analyte::LowDensity) - low).abs() < 1.0);
    }

    #[test]
    fn the_filtration_rate_is_that_of_the_published_equation() {
        // CKD-EPI 2021: a woman of 64 years with a creatinine of 1.00 mg/dL has 63 mL/min/1.73 m².
        let body = Body::draw(&mut Dice::new(2, 9), Sex::Female, Day::of(1960, 3, 3), false);
        let sample = BloodSample::take(&body, Day::of(2024, 3, 3), &[]);
        assert_eq!(sample.filtration_rate(1.0).round(), 63.0);
    }

    #[test]
    fn kidney_disease_and_diabetes_show() {
        let ill = values(&[Effect::LowFiltration, Effect::HighGlucose], BASIC_METABOLIC.tests);
        let well = values(&[], BASIC_METABOLIC.tests);
        assert!(value(&ill, Analyte::FiltrationRate) < 60.0 && value(&well, Analyte::FiltrationRate) > 60.0);
        assert!(value(&ill, Analyte::Glucose) > 110.0 && value(&well, Analyte::Glucose) < 105.0);
        assert!(
            value(&values(&[Effect::HighGlucose], &[GLYCATED_HEMOGLOBIN]), Analyte::GlycatedHemoglobin) > 6.0
        );
    }
}
