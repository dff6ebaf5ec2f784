//! The resources of a record: one type a file, each with what decides whether it is written.

pub(super) mod allergy;
pub(super) mod care_plan;
pub(super) mod condition;
pub(super) mod document;
pub(super) mod encounter;
pub(super) mod immunization;
pub(super) mod laboratory;
pub(super) mod medication;
pub(super) mod observation;
pub(super) mod procedure;
pub(super) mod vitals;
