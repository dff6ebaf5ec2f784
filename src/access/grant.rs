//! What the scopes of a token leave of the rights that roles give.

/// The scopes of a token, and the patient that it was given for. It cannot be made yet: nothing enforces scopes so far, so
/// that a principal who may act only within them may not act at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Grant {}
