//! Medications (RxNorm) and how they are taken.

use super::Code;

/// A medication with one usual way of taking it.
#[derive(Debug)]
pub(in crate::synth) struct Medication {
    pub(in crate::synth) code: Code,
    /// The instruction as a patient reads it.
    pub(in crate::synth) instruction: &'static str,
    /// What one dose is counted in: a UCUM annotation and its name.
    pub(in crate::synth) unit: DoseUnit,
    /// Doses taken at once.
    pub(in crate::synth) dose: u32,
    /// Times in `every` days.
    pub(in crate::synth) times: u32,
    /// Length of the rhythm, in days.
    pub(in crate::synth) every_days: u32,
    /// Length of a course in days; 0 for a long-term medication.
    pub(in crate::synth) course_days: i32,
    /// Taken only when needed.
    pub(in crate::synth) as_needed: bool,
}

/// What a dose is counted in.
#[derive(Clone, Copy, Debug)]
pub(in crate::synth) enum DoseUnit {
    /// A tablet.
    Tablet,
    /// A capsule.
    Capsule,
    /// One actuation of an inhaler.
    Puff,
    /// International units.
    Unit,
}

impl Medication {
    /// Whether somebody with an allergy to penicillin must not have it.
    pub(in crate::synth) fn is_penicillin(&self) -> bool {
        [AMOXICILLIN.code.code, PENICILLIN_V.code.code].contains(&self.code.code)
    }
}

impl DoseUnit {
    /// The UCUM code and the printed unit.
    pub(in crate::synth) fn ucum(self) -> (&'static str, &'static str) {
        match self {
            Self::Tablet => ("{tbl}", "tablet"),
            Self::Capsule => ("{capsule}", "capsule"),
            Self::Puff => ("{puff}", "puff"),
            Self::Unit => ("[iU]", "international unit"),
        }
    }
}

/// A long-term medication: `dose` of `unit`, `times` a day.
const fn daily(code: Code, unit: DoseUnit, dose: u32, times: u32, instruction: &'static str) -> Medication {
    Medication { code, instruction, unit, dose, times, every_days: 1, course_days: 0, as_needed: false }
}

/// A course of `course_days`: one of `unit`, `times` a day.
const fn course(
    code: Code,
    unit: DoseUnit,
    times: u32,
    course_days: i32,
    instruction: &'static str,
) -> Medication {
    Medication { code, instruction, unit, dose: 1, times, every_days: 1, course_days, as_needed: false }
}

/// The same medication, taken only when needed.
const fn when_needed(medication: Medication) -> Medication {
    Medication { as_needed: true, ..medication }
}

use DoseUnit::{Capsule, Puff, Tablet, Unit};

pub(in crate::synth) const LISINOPRIL: Medication = daily(
    Code::rxnorm("314076", "lisinopril 10 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth once daily",
);
pub(in crate::synth) const HYDROCHLOROTHIAZIDE: Medication = daily(
    Code::rxnorm("310798", "hydrochlorothiazide 25 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth every morning",
);
pub(in crate::synth) const AMLODIPINE: Medication = daily(
    Code::rxnorm("197361", "amlodipine 5 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth once daily",
);
pub(in crate::synth) const METFORMIN: Medication = daily(
    Code::rxnorm("861007", "metformin hydrochloride 500 MG Oral Tablet"),
    Tablet,
    1,
    2,
    "Take 1 tablet by mouth twice daily with meals",
);
pub(in crate::synth) const INSULIN_GLARGINE: Medication = daily(
    Code::rxnorm("311041", "insulin glargine 100 UNT/ML Injectable Solution"),
    Unit,
    18,
    1,
    "Inject 18 units under the skin every evening",
);
pub(in crate::synth) const ATORVASTATIN: Medication = daily(
    Code::rxnorm("617310", "atorvastatin 20 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth once daily at bedtime",
);
pub(in crate::synth) const ASPIRIN: Medication = daily(
    Code::rxnorm("243670", "aspirin 81 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth once daily",
);
pub(in crate::synth) const METOPROLOL: Medication = daily(
    Code::rxnorm("866924", "metoprolol tartrate 25 MG Oral Tablet"),
    Tablet,
    1,
    2,
    "Take 1 tablet by mouth twice daily",
);
pub(in crate::synth) const APIXABAN: Medication = daily(
    Code::rxnorm("1364445", "apixaban 5 MG Oral Tablet"),
    Tablet,
    1,
    2,
    "Take 1 tablet by mouth twice daily",
);
pub(in crate::synth) const FUROSEMIDE: Medication = daily(
    Code::rxnorm("313988", "furosemide 40 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth every morning",
);
pub(in crate::synth) const LEVOTHYROXINE: Medication = daily(
    Code::rxnorm("10582", "levothyroxine"),
    Tablet,
    1,
    1,
    "Take 1 tablet of 50 mcg by mouth once daily on an empty stomach",
);
pub(in crate::synth) const SERTRALINE: Medication = daily(
    Code::rxnorm("312941", "sertraline 50 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth once daily",
);
pub(in crate::synth) const ESCITALOPRAM: Medication =
    daily(Code::rxnorm("321988", "escitalopram"), Tablet, 1, 1, "Take 1 tablet of 10 mg by mouth once daily");
pub(in crate::synth) const OMEPRAZOLE: Medication = daily(
    Code::rxnorm("198051", "omeprazole 20 MG Delayed Release Oral Capsule"),
    Capsule,
    1,
    1,
    "Take 1 capsule by mouth once daily before breakfast",
);
pub(in crate::synth) const METHOTREXATE: Medication = Medication {
    every_days: 7,
    ..daily(
        Code::rxnorm("105585", "methotrexate 2.5 MG Oral Tablet"),
        Tablet,
        6,
        1,
        "Take 6 tablets by mouth once a week, always on the same day",
    )
};
pub(in crate::synth) const ALENDRONATE: Medication = Medication {
    every_days: 7,
    ..daily(
        Code::rxnorm("46041", "alendronate"),
        Tablet,
        1,
        1,
        "Take 1 tablet of 70 mg by mouth once a week, upright and with plain water",
    )
};
pub(in crate::synth) const DONEPEZIL: Medication = daily(
    Code::rxnorm("997223", "donepezil hydrochloride 10 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth at bedtime",
);
pub(in crate::synth) const FERROUS_SULFATE: Medication = daily(
    Code::rxnorm("310325", "ferrous sulfate 325 MG Oral Tablet"),
    Tablet,
    1,
    1,
    "Take 1 tablet by mouth once daily",
);
pub(in crate::synth) const FLUTICASONE: Medication = daily(
    Code::rxnorm("41126", "fluticasone"),
    Puff,
    2,
    2,
    "Inhale 2 puffs twice daily and rinse the mouth afterwards",
);
pub(in crate::synth) const TIOTROPIUM: Medication =
    daily(Code::rxnorm("69120", "tiotropium"), Puff, 2, 1, "Inhale 2 puffs of 2.5 mcg once daily");
pub(in crate::synth) const ALBUTEROL: Medication = when_needed(daily(
    Code::rxnorm("435", "albuterol"),
    Puff,
    2,
    4,
    "Inhale 2 puffs up to four times daily when short of breath",
));
pub(in crate::synth) const SUMATRIPTAN: Medication = when_needed(daily(
    Code::rxnorm("37418", "sumatriptan"),
    Tablet,
    1,
    1,
    "Take 1 tablet of 50 mg by mouth when a migraine begins",
));
pub(in crate::synth) const ACETAMINOPHEN: Medication = when_needed(course(
    Code::rxnorm("313782", "acetaminophen 325 MG Oral Tablet"),
    Tablet,
    4,
    7,
    "Take 1 tablet by mouth up to four times daily for pain or fever",
));
pub(in crate::synth) const IBUPROFEN: Medication = when_needed(course(
    Code::rxnorm("310965", "ibuprofen 200 MG Oral Tablet"),
    Tablet,
    3,
    10,
    "Take 1 tablet by mouth up to three times daily with food for pain",
));
pub(in crate::synth) const AMOXICILLIN: Medication = course(
    Code::rxnorm("308182", "amoxicillin 250 MG Oral Capsule"),
    Capsule,
    3,
    10,
    "Take 1 capsule by mouth three times daily until finished",
);
pub(in crate::synth) const PENICILLIN_V: Medication = course(
    Code::rxnorm("834102", "penicillin V potassium 500 MG Oral Tablet"),
    Tablet,
    2,
    10,
    "Take 1 tablet by mouth twice daily until finished",
);
pub(in crate::synth) const AZITHROMYCIN: Medication = course(
    Code::rxnorm("18631", "azithromycin"),
    Tablet,
    1,
    5,
    "Take 1 tablet of 250 mg by mouth once daily until finished",
);
pub(in crate::synth) const NITROFURANTOIN: Medication = course(
    Code::rxnorm("7454", "nitrofurantoin"),
    Capsule,
    2,
    5,
    "Take 1 capsule of 100 mg by mouth twice daily with food until finished",
);
pub(in crate::synth) const OSELTAMIVIR: Medication = course(
    Code::rxnorm("261315", "oseltamivir 75 MG Oral Capsule"),
    Capsule,
    2,
    5,
    "Take 1 capsule by mouth twice daily until finished",
);
