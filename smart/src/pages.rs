//! The pages that people see: sign-in, choice of a patient, emergency, consent, errors. HTML without scripts.
//!
//! Each is a function from what is shown to [`html::Html`]; none of them asks or decides anything.

pub(crate) mod consent;
pub(crate) mod emergency;
pub(crate) mod frame;
pub(crate) mod html;
pub(crate) mod message;
pub(crate) mod picker;
pub(crate) mod sign_in;
pub(crate) mod sign_out;
pub(crate) mod style;

#[cfg(test)]
mod tests;
