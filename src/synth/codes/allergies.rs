//! Allergies (SNOMED CT) and the reactions they show.

use super::Code;

/// One allergy with what it does.
#[derive(Debug)]
pub(in crate::synth) struct Allergy {
    pub(in crate::synth) code: Code,
    /// `AllergyIntolerance.category`.
    pub(in crate::synth) category: &'static str,
    /// `AllergyIntolerance.criticality`.
    pub(in crate::synth) criticality: &'static str,
    pub(in crate::synth) manifestation: Code,
    /// `AllergyIntolerance.reaction.severity`.
    pub(in crate::synth) severity: &'static str,
}

/// The code of the allergy that decides about prescriptions.
pub(in crate::synth) const PENICILLIN_ALLERGY: &str = "91936005";

const RASH: Code = Code::snomed("271807003", "Eruption of skin");
const HIVES: Code = Code::snomed("126485001", "Urticaria");
const ANAPHYLAXIS: Code = Code::snomed("39579001", "Anaphylaxis");
const RHINITIS: Code = Code::snomed("70076002", "Rhinitis");
const WHEEZING: Code = Code::snomed("56018004", "Wheezing");

const fn allergy(
    code: Code,
    category: &'static str,
    criticality: &'static str,
    manifestation: Code,
    severity: &'static str,
) -> Allergy {
    Allergy { code, category, criticality, manifestation, severity }
}

/// The allergies people of this generator have.
pub(in crate::synth) const ALLERGIES: &[Allergy] = &[
    allergy(
        Code::snomed(PENICILLIN_ALLERGY, "Allergy to penicillin"),
        "medication",
        "high",
        HIVES,
        "moderate",
    ),
    allergy(Code::snomed("91935009", "Allergy to peanut"), "food", "high", ANAPHYLAXIS, "severe"),
    allergy(Code::snomed("300913006", "Allergy to shellfish"), "food", "high", HIVES, "moderate"),
    allergy(Code::snomed("418689008", "Allergy to grass pollen"), "environment", "low", RHINITIS, "mild"),
    allergy(Code::snomed("419263009", "Allergy to tree pollen"), "environment", "low", RHINITIS, "mild"),
    allergy(Code::snomed("232350006", "House dust mite allergy"), "environment", "low", WHEEZING, "moderate"),
    allergy(Code::snomed("424213003", "Allergy to bee venom"), "environment", "high", ANAPHYLAXIS, "severe"),
    allergy(
        Code::snomed("1003755004", "Allergy to Hevea brasiliensis latex protein"),
        "environment",
        "low",
        RASH,
        "mild",
    ),
];
