//! Conditions that pass.

use super::{Acute, Effect, Setting};
use crate::synth::codes::Code;
use crate::synth::codes::laboratory::{NATRIURETIC_PEPTIDE, REACTIVE_PROTEIN, TROPONIN};
use crate::synth::codes::medications::*;
use crate::synth::codes::procedures::*;

/// What most passing conditions share.
const PASSING: Acute = Acute {
    code: Code::snomed("", ""),
    icd10: "",
    weight: [0; 5],
    setting: Setting::Clinic,
    lasts_days: (7, 14),
    effects: &[],
    medications: &[],
    tests: &[],
    procedures: &[],
    checked_later: false,
};

/// A pregnancy, which has its own course.
pub(in crate::synth) const PREGNANCY: Acute =
    Acute { code: Code::snomed("72892002", "Normal pregnancy"), icd10: "Z34.90", ..PASSING };

/// Conditions that pass.
pub(in crate::synth) const ACUTE: &[Acute] = &[
    Acute {
        code: Code::snomed("195662009", "Acute viral pharyngitis"),
        icd10: "J02.9",
        weight: [120, 100, 60, 40, 30],
        effects: &[Effect::Fever],
        medications: &[ACETAMINOPHEN],
        ..PASSING
    },
    Acute {
        code: Code::snomed("444814009", "Viral sinusitis"),
        icd10: "J01.90",
        weight: [60, 90, 90, 70, 50],
        lasts_days: (7, 21),
        ..PASSING
    },
    Acute {
        code: Code::snomed("10509002", "Acute bronchitis"),
        icd10: "J20.9",
        weight: [60, 60, 70, 80, 80],
        effects: &[Effect::Fever],
        medications: &[AZITHROMYCIN],
        ..PASSING
    },
    Acute {
        code: Code::snomed("43878008", "Streptococcal sore throat"),
        icd10: "J02.0",
        weight: [90, 50, 20, 5, 0],
        effects: &[Effect::Fever],
        medications: &[PENICILLIN_V],
        ..PASSING
    },
    Acute {
        code: Code::snomed("65363002", "Otitis media"),
        icd10: "H66.90",
        weight: [220, 20, 10, 5, 5],
        effects: &[Effect::Fever, Effect::Pain],
        medications: &[AMOXICILLIN],
        ..PASSING
    },
    Acute {
        code: Code::snomed("68566005", "Urinary tract infection"),
        icd10: "N39.0",
        weight: [20, 60, 60, 80, 120],
        lasts_days: (4, 10),
        medications: &[NITROFURANTOIN],
        ..PASSING
    },
    Acute {
        code: Code::snomed("6142004", "Influenza"),
        icd10: "J11.1",
        weight: [60, 50, 50, 50, 50],
        effects: &[Effect::Fever, Effect::FastPulse],
        medications: &[OSELTAMIVIR],
        ..PASSING
    },
    Acute {
        code: Code::snomed("25374005", "Gastroenteritis"),
        icd10: "K52.9",
        weight: [90, 50, 40, 40, 40],
        setting: Setting::Emergency,
        lasts_days: (2, 6),
        effects: &[Effect::FastPulse],
        ..PASSING
    },
    Acute {
        code: Code::snomed("128045006", "Cellulitis"),
        icd10: "L03.90",
        weight: [10, 20, 30, 40, 40],
        effects: &[Effect::Fever, Effect::Inflammation],
        medications: &[AMOXICILLIN],
        tests: &[REACTIVE_PROTEIN],
        checked_later: true,
        ..PASSING
    },
    Acute {
        code: Code::snomed("44465007", "Sprain of ankle"),
        icd10: "S93.409A",
        weight: [30, 70, 40, 20, 10],
        setting: Setting::Emergency,
        lasts_days: (14, 42),
        effects: &[Effect::Pain],
        medications: &[IBUPROFEN],
        ..PASSING
    },
    Acute {
        code: Code::snomed("65966004", "Fracture of forearm"),
        icd10: "S52.90XA",
        weight: [50, 25, 15, 25, 30],
        setting: Setting::Emergency,
        lasts_days: (42, 84),
        effects: &[Effect::Pain],
        medications: &[IBUPROFEN],
        procedures: &[IMMOBILIZATION],
        checked_later: true,
        ..PASSING
    },
    Acute {
        code: Code::snomed("283371005", "Laceration of forearm"),
        icd10: "S51.819A",
        weight: [40, 40, 30, 20, 20],
        setting: Setting::Emergency,
        lasts_days: (10, 21),
        effects: &[Effect::Pain],
        medications: &[ACETAMINOPHEN],
        procedures: &[SUTURE],
        ..PASSING
    },
    Acute {
        code: Code::snomed("62106007", "Concussion with no loss of consciousness"),
        icd10: "S06.0X0A",
        weight: [25, 30, 12, 12, 25],
        setting: Setting::Emergency,
        lasts_days: (10, 30),
        effects: &[Effect::Pain],
        medications: &[ACETAMINOPHEN],
        ..PASSING
    },
    Acute {
        code: Code::snomed("233604007", "Pneumonia"),
        icd10: "J18.9",
        weight: [15, 8, 12, 35, 90],
        setting: Setting::Hospital(2, 7),
        lasts_days: (14, 35),
        effects: &[Effect::Fever, Effect::LowOxygen, Effect::Inflammation, Effect::FastPulse],
        medications: &[AMOXICILLIN, AZITHROMYCIN],
        tests: &[REACTIVE_PROTEIN],
        procedures: &[CHEST_X_RAY],
        checked_later: true,
    },
    Acute {
        code: Code::snomed("840539006", "Disease caused by severe acute respiratory syndrome coronavirus 2"),
        icd10: "U07.1",
        weight: [30, 40, 40, 50, 60],
        effects: &[Effect::Fever, Effect::LowOxygen],
        medications: &[ACETAMINOPHEN],
        ..PASSING
    },
    Acute {
        code: Code::snomed("74400008", "Appendicitis"),
        icd10: "K37",
        weight: [12, 22, 8, 4, 2],
        setting: Setting::Hospital(1, 4),
        lasts_days: (14, 28),
        effects: &[Effect::Fever, Effect::Pain, Effect::Inflammation],
        medications: &[ACETAMINOPHEN],
        tests: &[REACTIVE_PROTEIN],
        procedures: &[APPENDECTOMY],
        checked_later: true,
    },
    Acute {
        code: Code::snomed("235919008", "Gallbladder calculus"),
        icd10: "K80.20",
        weight: [0, 8, 20, 25, 20],
        setting: Setting::Hospital(1, 4),
        lasts_days: (14, 30),
        effects: &[Effect::Pain],
        medications: &[IBUPROFEN],
        procedures: &[CHOLECYSTECTOMY],
        checked_later: true,
        ..PASSING
    },
    Acute {
        code: Code::snomed("22298006", "Myocardial infarction"),
        icd10: "I21.9",
        weight: [0, 0, 3, 14, 26],
        setting: Setting::Hospital(3, 8),
        lasts_days: (28, 60),
        effects: &[Effect::HeartDamage, Effect::Pain, Effect::FastPulse],
        medications: &[ASPIRIN, METOPROLOL, ATORVASTATIN],
        tests: &[TROPONIN, NATRIURETIC_PEPTIDE],
        procedures: &[ELECTROCARDIOGRAM, CORONARY_INTERVENTION],
        checked_later: true,
    },
    Acute {
        code: Code::snomed("5913000", "Fracture of neck of femur"),
        icd10: "S72.009A",
        weight: [0, 1, 2, 8, 44],
        setting: Setting::Hospital(4, 12),
        lasts_days: (70, 140),
        effects: &[Effect::Pain],
        medications: &[ACETAMINOPHEN],
        procedures: &[HIP_REPLACEMENT],
        checked_later: true,
        ..PASSING
    },
    Acute {
        code: Code::snomed("91302008", "Sepsis"),
        icd10: "A41.9",
        weight: [4, 2, 4, 14, 40],
        setting: Setting::Hospital(5, 14),
        lasts_days: (14, 40),
        effects: &[Effect::Fever, Effect::FastPulse, Effect::LowOxygen, Effect::Inflammation],
        tests: &[REACTIVE_PROTEIN],
        checked_later: true,
        ..PASSING
    },
];
