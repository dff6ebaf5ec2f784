//! The log of facts: what happened, in which order, kept for ever.
