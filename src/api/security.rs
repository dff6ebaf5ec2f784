//! What `/metadata` says of who is let in: `CapabilityStatement.rest.security` (R4 capabilitystatement.html; SMART App Launch,
//! section "Using CapabilityStatement").

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::service::Service;
use crate::access::token::discovery::Endpoints;

/// Where apps of SMART's first version look for the addresses of the authorization server.
const OAUTH_URIS: &str = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris";
const SERVICES: &str = "http://terminology.hl7.org/CodeSystem/restful-security-service";

/// What there is to say of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Security {
    is_shared: bool,
    is_guarded: bool,
    endpoints: Endpoints,
}

impl Security {
    /// As it stands now: an authority may not have told yet.
    pub(super) fn of(service: &Service) -> Self {
        let endpoints = match &service.endpoints {
            Some(own) => Endpoints::clone(own),
            None => service.gate.endpoints(),
        };
        Self {
            is_shared: service.is_shared.load(Ordering::Relaxed),
            is_guarded: !service.gate.is_open(),
            endpoints,
        }
    }

    /// The element.
    pub(super) fn json(&self) -> Value {
        let mut security = serde_json::Map::new();
        let told = self.told();
        // Without both of them an app can do nothing with the others.
        if self.is_guarded && self.endpoints.authorize.is_some() && self.endpoints.token.is_some() {
            security.insert("extension".to_owned(), json!([{ "url": OAUTH_URIS, "extension": told }]));
        }
        security.insert("cors".to_owned(), self.is_shared.into());
        if self.is_guarded {
            let coding =
                |code: &str, display: &str| json!({ "system": SERVICES, "code": code, "display": display });
            let codings = [coding("OAuth", "OAuth"), coding("SMART-on-FHIR", "SMART-on-FHIR")];
            let services = codings.map(|coding| json!({ "coding": [coding] }));
            security.insert("service".to_owned(), services.to_vec().into());
        }
        security.into()
    }

    fn told(&self) -> Vec<Value> {
        let Endpoints { authorize, token, register, introspect, revoke, manage } = &self.endpoints;
        let all = [
            ("authorize", authorize),
            ("token", token),
            ("register", register),
            ("manage", manage),
            ("introspect", introspect),
            ("revoke", revoke),
        ];
        let told = all.into_iter().filter_map(|(name, address)| {
            address.as_ref().map(|address| json!({ "url": name, "valueUri": address }))
        });
        told.collect()
    }
}
