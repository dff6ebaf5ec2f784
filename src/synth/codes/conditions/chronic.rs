//! Conditions that stay.

use super::{Chronic, Effect, Sex};
use crate::synth::codes::Code;
use crate::synth::codes::laboratory::{
    ALBUMIN_CREATININE_RATIO, FERRITIN, GLYCATED_HEMOGLOBIN, NATRIURETIC_PEPTIDE, REACTIVE_PROTEIN,
    THYROTROPIN,
};
use crate::synth::codes::medications::*;
use crate::synth::codes::procedures::*;

/// What most chronic conditions share; the rest is stated where it differs.
const LASTING: Chronic = Chronic {
    code: Code::snomed("", ""),
    icd10: "",
    prevalence: [0; 5],
    sex: None,
    onset_from: 18,
    effect: Effect::None,
    raised_by: &[],
    medications: &[],
    tests: &[],
    procedure: None,
};

/// Conditions that stay, those that raise others first.
pub(in crate::synth) const CHRONIC: &[Chronic] = &[
    Chronic {
        code: Code::snomed("414916001", "Obesity"),
        icd10: "E66.9",
        prevalence: [40, 180, 290, 310, 200],
        onset_from: 8,
        effect: Effect::Overweight,
        ..LASTING
    },
    Chronic {
        code: Code::snomed("59621000", "Essential hypertension"),
        icd10: "I10",
        prevalence: [0, 20, 180, 430, 620],
        effect: Effect::HighPressure,
        raised_by: &[Effect::Overweight],
        medications: &[LISINOPRIL, AMLODIPINE, HYDROCHLOROTHIAZIDE],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("44054006", "Diabetes mellitus type 2"),
        icd10: "E11.9",
        prevalence: [0, 8, 50, 130, 190],
        onset_from: 25,
        effect: Effect::HighGlucose,
        raised_by: &[Effect::Overweight],
        medications: &[METFORMIN, INSULIN_GLARGINE],
        tests: &[GLYCATED_HEMOGLOBIN, ALBUMIN_CREATININE_RATIO],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("55822004", "Hyperlipidemia"),
        icd10: "E78.5",
        prevalence: [0, 20, 160, 340, 420],
        effect: Effect::HighLipids,
        raised_by: &[Effect::HighGlucose],
        medications: &[ATORVASTATIN],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("433144002", "Chronic kidney disease stage 3"),
        icd10: "N18.30",
        prevalence: [0, 2, 8, 40, 130],
        onset_from: 35,
        effect: Effect::LowFiltration,
        raised_by: &[Effect::HighGlucose, Effect::HighPressure],
        tests: &[ALBUMIN_CREATININE_RATIO],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("53741008", "Coronary arteriosclerosis"),
        icd10: "I25.10",
        prevalence: [0, 0, 12, 70, 170],
        onset_from: 40,
        raised_by: &[Effect::HighPressure, Effect::HighLipids],
        medications: &[ASPIRIN, METOPROLOL],
        procedure: Some(ELECTROCARDIOGRAM),
        ..LASTING
    },
    Chronic {
        code: Code::snomed("84114007", "Heart failure"),
        icd10: "I50.9",
        prevalence: [0, 0, 4, 25, 100],
        onset_from: 45,
        effect: Effect::WeakHeart,
        raised_by: &[Effect::HighPressure],
        medications: &[FUROSEMIDE],
        tests: &[NATRIURETIC_PEPTIDE],
        procedure: Some(ECHOCARDIOGRAM),
        ..LASTING
    },
    Chronic {
        code: Code::snomed("49436004", "Atrial fibrillation"),
        icd10: "I48.91",
        prevalence: [0, 0, 6, 40, 130],
        onset_from: 45,
        effect: Effect::FastPulse,
        raised_by: &[Effect::WeakHeart],
        medications: &[APIXABAN],
        procedure: Some(ELECTROCARDIOGRAM),
        ..LASTING
    },
    Chronic {
        code: Code::snomed("195967001", "Asthma"),
        icd10: "J45.909",
        prevalence: [90, 85, 75, 65, 50],
        onset_from: 4,
        effect: Effect::AirwayLimit,
        medications: &[ALBUTEROL, FLUTICASONE],
        procedure: Some(SPIROMETRY),
        ..LASTING
    },
    Chronic {
        code: Code::snomed("13645005", "Chronic obstructive lung disease"),
        icd10: "J44.9",
        prevalence: [0, 0, 25, 90, 140],
        onset_from: 42,
        effect: Effect::AirwayLimit,
        medications: &[TIOTROPIUM, ALBUTEROL],
        procedure: Some(SPIROMETRY),
        ..LASTING
    },
    Chronic {
        code: Code::snomed("40930008", "Hypothyroidism"),
        icd10: "E03.9",
        prevalence: [4, 20, 50, 80, 100],
        effect: Effect::LowThyroid,
        medications: &[LEVOTHYROXINE],
        tests: &[THYROTROPIN],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("370143000", "Major depressive disorder"),
        icd10: "F32.9",
        prevalence: [0, 100, 90, 80, 60],
        onset_from: 14,
        medications: &[SERTRALINE],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("197480006", "Anxiety disorder"),
        icd10: "F41.9",
        prevalence: [10, 90, 80, 60, 40],
        onset_from: 10,
        medications: &[ESCITALOPRAM],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("37796009", "Migraine"),
        icd10: "G43.909",
        prevalence: [15, 110, 130, 70, 30],
        onset_from: 9,
        medications: &[SUMATRIPTAN],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("235595009", "Gastroesophageal reflux disease"),
        icd10: "K21.9",
        prevalence: [5, 60, 150, 200, 210],
        medications: &[OMEPRAZOLE],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("87522002", "Iron deficiency anemia"),
        icd10: "D50.9",
        prevalence: [20, 70, 60, 30, 50],
        sex: Some(Sex::Female),
        onset_from: 13,
        effect: Effect::IronDeficiency,
        medications: &[FERROUS_SULFATE],
        tests: &[FERRITIN],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("396275006", "Osteoarthritis"),
        icd10: "M19.90",
        prevalence: [0, 5, 70, 260, 430],
        onset_from: 40,
        medications: &[ACETAMINOPHEN],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("69896004", "Rheumatoid arthritis"),
        icd10: "M06.9",
        prevalence: [0, 4, 9, 16, 20],
        onset_from: 25,
        effect: Effect::Inflammation,
        medications: &[METHOTREXATE],
        tests: &[REACTIVE_PROTEIN],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("64859006", "Osteoporosis"),
        icd10: "M81.0",
        prevalence: [0, 0, 10, 110, 260],
        sex: Some(Sex::Female),
        onset_from: 50,
        medications: &[ALENDRONATE],
        ..LASTING
    },
    Chronic {
        code: Code::snomed("26929004", "Alzheimer's disease"),
        icd10: "G30.9",
        prevalence: [0, 0, 0, 15, 150],
        onset_from: 63,
        medications: &[DONEPEZIL],
        ..LASTING
    },
];
