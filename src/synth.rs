//! The data generator: deterministic, clinically plausible FHIR R4 bundles of people who never lived.
