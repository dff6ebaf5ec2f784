//! Laboratory tests (LOINC): units, reference ranges and how people differ.

use super::Code;

/// One laboratory test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::synth) enum Analyte {
    Leukocytes,
    Erythrocytes,
    Hemoglobin,
    Hematocrit,
    CellVolume,
    CellHemoglobin,
    CellHemoglobinConcentration,
    RedCellWidth,
    Platelets,
    Glucose,
    UreaNitrogen,
    Creatinine,
    FiltrationRate,
    Calcium,
    Sodium,
    Potassium,
    Chloride,
    CarbonDioxide,
    Protein,
    Albumin,
    Bilirubin,
    AlkalinePhosphatase,
    AlanineTransaminase,
    AspartateTransaminase,
    Cholesterol,
    Triglycerides,
    HighDensity,
    LowDensity,
    GlycatedHemoglobin,
    Thyrotropin,
    ReactiveProtein,
    Ferritin,
    AlbuminCreatinineRatio,
    Troponin,
    NatriureticPeptide,
}

/// How many analytes there are.
pub(in crate::synth) const ANALYTE_COUNT: usize = Analyte::NatriureticPeptide as usize + 1;

/// What is known of one analyte.
#[derive(Debug)]
pub(in crate::synth) struct Test {
    pub(in crate::synth) analyte: Analyte,
    pub(in crate::synth) code: Code,
    /// The UCUM code, which is also the printed unit.
    pub(in crate::synth) unit: &'static str,
    /// Decimal places that a laboratory reports.
    pub(in crate::synth) places: u8,
    /// Reference range of women, low and high; a missing bound is `None`.
    pub(in crate::synth) female: Range,
    /// Reference range of men.
    pub(in crate::synth) male: Range,
    /// Mean of healthy women and men.
    pub(in crate::synth) mean: (f64, f64),
    /// Standard deviation between healthy people.
    pub(in crate::synth) between: f64,
    /// Standard deviation of one healthy person between two samples.
    pub(in crate::synth) within: f64,
}

/// A reference range.
#[derive(Clone, Copy, Debug)]
pub(in crate::synth) struct Range {
    pub(in crate::synth) low: Option<f64>,
    pub(in crate::synth) high: Option<f64>,
}

const fn range(low: f64, high: f64) -> Range {
    Range { low: Some(low), high: Some(high) }
}

const fn below(high: f64) -> Range {
    Range { low: None, high: Some(high) }
}

const fn above(low: f64) -> Range {
    Range { low: Some(low), high: None }
}

/// A test whose healthy values are the same for women and men.
const fn test(
    analyte: Analyte,
    code: Code,
    (unit, places): (&'static str, u8),
    normal: Range,
    (mean, between, within): (f64, f64, f64),
) -> Test {
    Test { analyte, code, unit, places, female: normal, male: normal, mean: (mean, mean), between, within }
}

/// The same test with other values for men.
const fn for_men(test: Test, male: Range, mean: f64) -> Test {
    Test { male, mean: (test.mean.0, mean), ..test }
}

const fn loinc(code: &'static str, display: &'static str) -> Code {
    Code::loinc(code, display)
}

/// Complete blood count.
pub(in crate::synth) const BLOOD_COUNT: Panel = Panel {
    code: loinc("58410-2", "CBC panel - Blood by Automated count"),
    tests: &[
        test(
            Analyte::Leukocytes,
            loinc("6690-2", "Leukocytes [#/volume] in Blood by Automated count"),
            ("10*3/uL", 1),
            range(4.5, 11.0),
            (7.0, 1.1, 0.7),
        ),
        for_men(
            test(
                Analyte::Erythrocytes,
                loinc("789-8", "Erythrocytes [#/volume] in Blood by Automated count"),
                ("10*6/uL", 2),
                range(4.0, 5.2),
                (4.55, 0.2, 0.05),
            ),
            range(4.5, 5.9),
            5.1,
        ),
        for_men(
            test(
                Analyte::Hemoglobin,
                loinc("718-7", "Hemoglobin [Mass/volume] in Blood"),
                ("g/dL", 1),
                range(12.0, 16.0),
                (13.7, 0.6, 0.25),
            ),
            range(13.5, 17.5),
            15.3,
        ),
        for_men(
            test(
                Analyte::Hematocrit,
                loinc("4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count"),
                ("%", 1),
                range(36.0, 46.0),
                (41.0, 0.0, 0.0),
            ),
            range(41.0, 53.0),
            45.5,
        ),
        test(
            Analyte::CellVolume,
            loinc("787-2", "MCV [Entitic volume] by Automated count"),
            ("fL", 1),
            range(80.0, 100.0),
            (90.0, 0.0, 0.0),
        ),
        test(
            Analyte::CellHemoglobin,
            loinc("785-6", "MCH [Entitic mass] by Automated count"),
            ("pg", 1),
            range(26.0, 34.0),
            (30.0, 0.0, 0.0),
        ),
        test(
            Analyte::CellHemoglobinConcentration,
            loinc("786-4", "MCHC [Mass/volume] by Automated count"),
            ("g/dL", 1),
            range(31.0, 37.0),
            (33.5, 0.0, 0.0),
        ),
        test(
            Analyte::RedCellWidth,
            loinc("788-0", "Erythrocyte distribution width [Ratio] by Automated count"),
            ("%", 1),
            range(11.5, 14.5),
            (13.0, 0.5, 0.2),
        ),
        test(
            Analyte::Platelets,
            loinc("777-3", "Platelets [#/volume] in Blood by Automated count"),
            ("10*3/uL", 0),
            range(150.0, 450.0),
            (255.0, 45.0, 15.0),
        ),
    ],
};

/// Basic metabolic panel with the estimated filtration rate.
pub(in crate::synth) const BASIC_METABOLIC: Panel =
    Panel { code: loinc("51990-0", "Basic metabolic panel - Blood"), tests: BASIC };

/// Comprehensive metabolic panel; the analytes it adds to [`BASIC_METABOLIC`] are in [`LIVER`].
pub(in crate::synth) const COMPREHENSIVE_METABOLIC: Panel =
    Panel { code: loinc("24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma"), tests: BASIC };

const BASIC: &[Test] = &[
    test(
        Analyte::Glucose,
        loinc("2345-7", "Glucose [Mass/volume] in Serum or Plasma"),
        ("mg/dL", 0),
        range(70.0, 99.0),
        (87.0, 5.0, 3.5),
    ),
    test(
        Analyte::UreaNitrogen,
        loinc("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma"),
        ("mg/dL", 0),
        range(7.0, 20.0),
        (13.5, 2.5, 1.5),
    ),
    for_men(
        test(
            Analyte::Creatinine,
            loinc("2160-0", "Creatinine [Mass/volume] in Serum or Plasma"),
            ("mg/dL", 2),
            range(0.5, 1.1),
            (0.74, 0.08, 0.03),
        ),
        range(0.7, 1.3),
        0.94,
    ),
    test(Analyte::FiltrationRate, FILTRATION_RATE, ("mL/min/{1.73_m2}", 0), above(60.0), (95.0, 0.0, 0.0)),
    test(
        Analyte::Calcium,
        loinc("17861-6", "Calcium [Mass/volume] in Serum or Plasma"),
        ("mg/dL", 1),
        range(8.6, 10.3),
        (9.4, 0.25, 0.15),
    ),
    test(
        Analyte::Sodium,
        loinc("2951-2", "Sodium [Moles/volume] in Serum or Plasma"),
        ("mmol/L", 0),
        range(135.0, 145.0),
        (140.0, 1.4, 1.0),
    ),
    test(
        Analyte::Potassium,
        loinc("2823-3", "Potassium [Moles/volume] in Serum or Plasma"),
        ("mmol/L", 1),
        range(3.5, 5.1),
        (4.2, 0.22, 0.15),
    ),
    test(
        Analyte::Chloride,
        loinc("2075-0", "Chloride [Moles/volume] in Serum or Plasma"),
        ("mmol/L", 0),
        range(98.0, 107.0),
        (102.5, 1.4, 1.0),
    ),
    test(
        Analyte::CarbonDioxide,
        loinc("2028-9", "Carbon dioxide, total [Moles/volume] in Serum or Plasma"),
        ("mmol/L", 0),
        range(22.0, 29.0),
        (25.5, 1.2, 0.9),
    ),
];

const FILTRATION_RATE: Code = loinc(
    "98979-8",
    "Glomerular filtration rate/1.73 sq M.predicted [Volume Rate/Area] in Serum, Plasma or Blood by Creatinine-based formula (CKD-EPI 2021)",
);

/// What a comprehensive metabolic panel has beyond a basic one.
pub(in crate::synth) const LIVER: &[Test] = &[
    test(
        Analyte::Protein,
        loinc("2885-2", "Protein [Mass/volume] in Serum or Plasma"),
        ("g/dL", 1),
        range(6.0, 8.3),
        (7.1, 0.3, 0.15),
    ),
    test(
        Analyte::Albumin,
        loinc("1751-7", "Albumin [Mass/volume] in Serum or Plasma"),
        ("g/dL", 1),
        range(3.5, 5.0),
        (4.3, 0.2, 0.1),
    ),
    test(
        Analyte::Bilirubin,
        loinc("1975-2", "Bilirubin.total [Mass/volume] in Serum or Plasma"),
        ("mg/dL", 1),
        range(0.1, 1.2),
        (0.6, 0.15, 0.08),
    ),
    test(
        Analyte::AlkalinePhosphatase,
        loinc("6768-6", "Alkaline phosphatase [Enzymatic activity/volume] in Serum or Plasma"),
        ("U/L", 0),
        range(35.0, 120.0),
        (72.0, 12.0, 4.0),
    ),
    test(
        Analyte::AlanineTransaminase,
        loinc("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma"),
        ("U/L", 0),
        range(7.0, 56.0),
        (24.0, 6.0, 4.0),
    ),
    test(
        Analyte::AspartateTransaminase,
        loinc("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma"),
        ("U/L", 0),
        range(8.0, 40.0),
        (22.0, 4.5, 3.0),
    ),
];

/// Lipid panel.
pub(in crate::synth) const LIPIDS: Panel = Panel {
    code: loinc("57698-3", "Lipid panel with direct LDL - Serum or Plasma"),
    tests: &[
        test(
            Analyte::Cholesterol,
            loinc("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma"),
            ("mg/dL", 0),
            below(200.0),
            (176.0, 22.0, 8.0),
        ),
        test(
            Analyte::Triglycerides,
            loinc("2571-8", "Triglyceride [Mass/volume] in Serum or Plasma"),
            ("mg/dL", 0),
            below(150.0),
            (105.0, 22.0, 14.0),
        ),
        for_men(
            test(
                Analyte::HighDensity,
                loinc("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma"),
                ("mg/dL", 0),
                above(50.0),
                (60.0, 8.0, 2.5),
            ),
            above(40.0),
            51.0,
        ),
        test(
            Analyte::LowDensity,
            loinc("18262-6", "Cholesterol in LDL [Mass/volume] in Serum or Plasma by Direct assay"),
            ("mg/dL", 0),
            below(130.0),
            (95.0, 0.0, 0.0),
        ),
    ],
};

/// Tests that are reported alone.
pub(in crate::synth) const GLYCATED_HEMOGLOBIN: Test = test(
    Analyte::GlycatedHemoglobin,
    loinc("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood"),
    ("%", 1),
    range(4.0, 5.6),
    (5.2, 0.18, 0.08),
);
/// Thyroid-stimulating hormone.
pub(in crate::synth) const THYROTROPIN: Test = test(
    Analyte::Thyrotropin,
    loinc("3016-3", "Thyrotropin [Units/volume] in Serum or Plasma"),
    ("m[IU]/L", 2),
    range(0.4, 4.0),
    (1.9, 0.5, 0.25),
);
/// C reactive protein.
pub(in crate::synth) const REACTIVE_PROTEIN: Test = test(
    Analyte::ReactiveProtein,
    loinc("1988-5", "C reactive protein [Mass/volume] in Serum or Plasma"),
    ("mg/L", 1),
    below(5.0),
    (1.6, 0.4, 0.4),
);
/// Ferritin.
pub(in crate::synth) const FERRITIN: Test = for_men(
    test(
        Analyte::Ferritin,
        loinc("2276-4", "Ferritin [Mass/volume] in Serum or Plasma"),
        ("ng/mL", 0),
        range(11.0, 307.0),
        (72.0, 18.0, 6.0),
    ),
    range(24.0, 336.0),
    130.0,
);
/// Albumin to creatinine ratio in urine.
pub(in crate::synth) const ALBUMIN_CREATININE_RATIO: Test = test(
    Analyte::AlbuminCreatinineRatio,
    loinc("14959-1", "Microalbumin/Creatinine [Mass Ratio] in Urine"),
    ("mg/g", 1),
    below(30.0),
    (9.0, 2.0, 1.5),
);
/// Cardiac troponin I.
pub(in crate::synth) const TROPONIN: Test = test(
    Analyte::Troponin,
    loinc("10839-9", "Troponin I.cardiac [Mass/volume] in Serum or Plasma"),
    ("ng/mL", 3),
    below(0.04),
    (0.012, 0.002, 0.002),
);
/// N-terminal pro B-type natriuretic peptide.
pub(in crate::synth) const NATRIURETIC_PEPTIDE: Test = test(
    Analyte::NatriureticPeptide,
    loinc("33762-6", "Natriuretic peptide.B prohormone N-Terminal [Mass/volume] in Serum or Plasma"),
    ("pg/mL", 0),
    below(125.0),
    (60.0, 14.0, 8.0),
);

/// Tests that are ordered and reported together.
#[derive(Debug)]
pub(in crate::synth) struct Panel {
    pub(in crate::synth) code: Code,
    pub(in crate::synth) tests: &'static [Test],
}
