//! Procedures (SNOMED CT).

use super::Code;

pub(in crate::synth) const ELECTROCARDIOGRAM: Code =
    Code::snomed("29303009", "Electrocardiographic procedure");
pub(in crate::synth) const ECHOCARDIOGRAM: Code = Code::snomed("40701008", "Echocardiography");
pub(in crate::synth) const CHEST_X_RAY: Code = Code::snomed("399208008", "Plain X-ray of chest");
pub(in crate::synth) const SPIROMETRY: Code = Code::snomed("127783003", "Spirometry");
pub(in crate::synth) const CORONARY_INTERVENTION: Code =
    Code::snomed("415070008", "Percutaneous coronary intervention");
pub(in crate::synth) const APPENDECTOMY: Code = Code::snomed("80146002", "Excision of appendix");
pub(in crate::synth) const CHOLECYSTECTOMY: Code = Code::snomed("38102005", "Cholecystectomy");
pub(in crate::synth) const HIP_REPLACEMENT: Code = Code::snomed("52734007", "Total replacement of hip");
pub(in crate::synth) const IMMOBILIZATION: Code = Code::snomed("274474001", "Bone immobilization");
pub(in crate::synth) const SUTURE: Code = Code::snomed("288086009", "Suture open wound");
/// An examination of every prenatal visit.
pub(in crate::synth) const OBSTETRIC_ULTRASOUND: Code =
    Code::snomed("268445003", "Ultrasound scan - obstetric");
/// A birth without complications.
pub(in crate::synth) const NORMAL_DELIVERY: Code = Code::snomed("48782003", "Delivery normal");
/// A birth by operation.
pub(in crate::synth) const CESAREAN: Code = Code::snomed("11466000", "Cesarean section");
/// Colorectal cancer screening.
pub(in crate::synth) const COLONOSCOPY: Code = Code::snomed("73761001", "Colonoscopy");
/// Breast cancer screening.
pub(in crate::synth) const MAMMOGRAPHY: Code = Code::snomed("71651007", "Mammography");
/// Part of every wellness visit of an adult.
pub(in crate::synth) const DEPRESSION_SCREENING: Code = Code::snomed("171207006", "Depression screening");
/// Part of every visit of someone with several medications.
pub(in crate::synth) const MEDICATION_RECONCILIATION: Code =
    Code::snomed("430193006", "Medication reconciliation");
