//! Vaccines (CVX) and the schedule they follow.

use super::Code;

/// A vaccine and the ages at which its doses are due.
#[derive(Debug)]
pub(in crate::synth) struct Vaccine {
    pub(in crate::synth) code: Code,
    /// The ages in months at which a dose is due.
    pub(in crate::synth) due_months: &'static [i32],
    /// Number of doses in the series, as `Immunization.protocolApplied` states it.
    pub(in crate::synth) series: u32,
    /// First year in which the vaccine was to be had.
    pub(in crate::synth) since_year: i32,
}

/// The yearly vaccine, given to everybody from six months of age between September and January.
pub(in crate::synth) const INFLUENZA: Code =
    Code::cvx("150", "Influenza, injectable, quadrivalent, preservative free");

const fn vaccine(code: Code, due_months: &'static [i32], series: u32, since_year: i32) -> Vaccine {
    Vaccine { code, due_months, series, since_year }
}

/// Vaccines with doses due at an age.
pub(in crate::synth) const SCHEDULE: &[Vaccine] = &[
    vaccine(Code::cvx("08", "Hep B, adolescent or pediatric"), &[0, 1, 6], 3, 1992),
    vaccine(Code::cvx("119", "rotavirus, monovalent"), &[2, 4], 2, 2008),
    vaccine(Code::cvx("20", "DTaP"), &[2, 4, 6, 15, 48], 5, 1992),
    vaccine(Code::cvx("49", "Hib (PRP-OMP)"), &[2, 4, 12], 3, 1990),
    vaccine(Code::cvx("133", "Pneumococcal conjugate PCV 13"), &[2, 4, 6, 12], 4, 2010),
    vaccine(Code::cvx("10", "IPV"), &[2, 4, 6, 48], 4, 1990),
    vaccine(Code::cvx("03", "MMR"), &[12, 48], 2, 1990),
    vaccine(Code::cvx("21", "varicella"), &[12, 48], 2, 1996),
    vaccine(Code::cvx("83", "Hep A, ped/adol, 2 dose"), &[12, 18], 2, 2006),
    vaccine(Code::cvx("115", "Tdap"), &[132, 372, 612, 852], 4, 2006),
    vaccine(Code::cvx("165", "HPV9"), &[132, 144], 2, 2015),
    vaccine(Code::cvx("114", "meningococcal MCV4P"), &[132, 192], 2, 2006),
    vaccine(
        Code::cvx("113", "Td (adult), 5 Lf tetanus toxoid, preservative free, adsorbed"),
        &[252, 492, 732],
        3,
        2000,
    ),
    vaccine(Code::cvx("187", "zoster recombinant"), &[600, 606], 2, 2018),
    vaccine(Code::cvx("33", "pneumococcal polysaccharide PPV23"), &[780], 1, 2000),
    vaccine(
        Code::cvx("208", "COVID-19, mRNA, LNP-S, PF, 30 mcg/0.3 mL dose"),
        &[240, 480, 720, 840],
        4,
        2021,
    ),
];
