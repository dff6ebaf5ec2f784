//! Placement: in which compartment a resource lives and which ones it touches.

use anamnesis_events::ResourceKey;
use anamnesis_fhir::compartment::{Place, patient_compartments};
use anamnesis_fhir::json::Value;

/// Shared compartments per type for resources of no patient. Frozen: the home of recorded events names them.
const SHARED_PER_TYPE: u64 = 64;

/// The compartments of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Where it lives: the first patient compartment, or a shared one such as `Organization/~17`.
    pub home: String,
    /// Every compartment it belongs to, the home first.
    pub touches: Vec<String>,
}

/// Places a resource by R4's CompartmentDefinition for patients. `bases` are the addresses of this server, without a
/// last slash: an absolute reference behind one of them is our own.
#[must_use]
pub fn place(key: &ResourceKey, resource: Value<'_>, bases: &[String]) -> Placement {
    let bases: Vec<&str> = bases.iter().map(String::as_str).collect();
    let place = Place { resource_type: &key.resource_type, id: &key.id, bases: &bases };
    let patients = patient_compartments(&place, resource);
    let mut touches: Vec<String> = patients.iter().map(|id| format!("Patient/{id}")).collect();
    if touches.is_empty() {
        touches.push(shared(key));
    }
    let home = touches.first().cloned().unwrap_or_default();
    Placement { home, touches }
}

/// The shared compartment of a resource that belongs to no patient.
#[must_use]
pub fn shared(key: &ResourceKey) -> String {
    format!("{}/~{}", key.resource_type, fnv1a(key.id.as_bytes()) % SHARED_PER_TYPE)
}

/// Adds the compartments that are not in the list yet.
pub fn join(touches: &mut Vec<String>, more: Vec<String>) {
    for one in more {
        if !touches.contains(&one) {
            touches.push(one);
        }
    }
}

/// FNV-1a, 64 bits: stable across platforms and releases, as homes are recorded.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
