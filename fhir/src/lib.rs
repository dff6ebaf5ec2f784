//! Pure FHIR R4: no I/O, no clock, no randomness.
