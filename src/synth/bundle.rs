//! The transaction Bundle around the generated resources, and the identities inside it.

use std::collections::BTreeMap;
use std::fmt;

use super::GeneratedBundle;
use super::json::Json;

/// The identity of a resource inside its bundle: the UUID of its `fullUrl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(uuid::Uuid);

impl Id {
    /// The identity made of 16 random bytes.
    pub(super) fn new(bytes: [u8; 16]) -> Self {
        Self(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// A choice between two that is fixed by the identity.
    pub(super) fn is_even(self) -> bool {
        self.0.as_u128().is_multiple_of(2)
    }
}

impl fmt::Display for Id {
    /// As a reference writes it: `urn:uuid:…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urn:uuid:{}", self.0)
    }
}

/// A transaction Bundle in the making (<http://hl7.org/fhir/R4/http.html#transaction>).
pub(super) struct BundleWriter {
    entries: Json,
    resources: BTreeMap<&'static str, usize>,
}

impl BundleWriter {
    /// An empty bundle with room for `capacity` bytes of JSON.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { entries: Json::with_capacity(capacity), resources: BTreeMap::new() }
    }

    /// How many resources the bundle holds so far.
    pub(super) fn resources(&self) -> usize {
        self.resources.values().sum()
    }

    /// Adds a resource that is created in every case; `fill` writes its members after `resourceType`.
    pub(super) fn create(&mut self, id: Id, resource_type: &'static str, fill: impl FnOnce(&mut Json)) {
        self.entry(id, resource_type, None, fill);
    }

    /// Adds a resource that is created unless one with this identifier exists (`ifNoneExist`).
    pub(super) fn create_unless_exists(
        &mut self,
        id: Id,
        resource_type: &'static str,
        identifier: &BusinessIdentifier,
        fill: impl FnOnce(&mut Json),
    ) {
        self.entry(id, resource_type, Some(identifier), fill);
    }

    /// The whole bundle.
    pub(super) fn finish(self) -> GeneratedBundle {
        let mut text = br#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_vec();
        text.append(&mut self.entries.into_bytes());
        text.extend_from_slice(b"]}");
        GeneratedBundle { json: text, resources: self.resources }
    }

    fn entry(
        &mut self,
        id: Id,
        resource_type: &'static str,
        unless_exists: Option<&BusinessIdentifier>,
        fill: impl FnOnce(&mut Json),
    ) {
        *self.resources.entry(resource_type).or_default() += 1;
        self.entries.item(|json| {
            json.plain("fullUrl", id);
            json.object("resource", |json| {
                json.string("resourceType", resource_type);
                fill(json);
            });
            json.object("request", |json| {
                json.string("method", "POST");
                json.string("url", resource_type);
                if let Some(identifier) = unless_exists {
                    json.plain("ifNoneExist", format_args!("identifier={identifier}"));
                }
            });
        });
    }
}

/// The identifier by which a resource is known outside its bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BusinessIdentifier {
    pub(super) system: &'static str,
    pub(super) value: String,
}

impl fmt::Display for BusinessIdentifier {
    /// As a token search parameter writes it: `system|value`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.system, self.value)
    }
}
