//! Tells apps where everything is (SMART App Launch "Conformance"; OpenID Connect Discovery 1.0) and which keys there are.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde_json::{Map, Value, json};

use crate::key_set::ALGORITHMS;
use crate::server::SmartServer;

/// For how long the answers may be kept: keys are published an hour before they sign.
const KEPT: &str = "public, max-age=300";

/// What this server does of SMART App Launch 2.2 section "Capabilities".
const CAPABILITIES: [&str; 18] = [
    "launch-ehr",
    "launch-standalone",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
    "authorize-post",
];

/// Examples of scopes: each resource type may stand for the star.
const SCOPES: [&str; 18] = [
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "break-glass",
    "patient/*.cruds",
    "user/*.cruds",
    "system/*.cruds",
    "patient/*.rs",
    "user/*.rs",
    "system/*.rs",
    "patient/*.read",
    "user/*.read",
    "system/*.read",
];

const CLAIMS: [&str; 10] =
    ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "fhirUser", "profile", "name"];

/// `GET /.well-known/smart-configuration`
pub(crate) async fn smart(server: web::Data<SmartServer>) -> HttpResponse {
    let mut body = common(&server.options.base);
    body.insert("capabilities".to_owned(), json!(CAPABILITIES));
    answer(&Value::Object(body))
}

/// `GET /.well-known/openid-configuration`
pub(crate) async fn openid(server: web::Data<SmartServer>) -> HttpResponse {
    let mut body = common(&server.options.base);
    let more = json!({
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": CLAIMS,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    body.extend(more.as_object().cloned().unwrap_or_default());
    answer(&Value::Object(body))
}

/// `GET /auth/jwks`
pub(crate) async fn keys(server: web::Data<SmartServer>) -> HttpResponse {
    let keys = server.keys.published().borrow().clone();
    answer(&keys)
}

fn common(base: &str) -> Map<String, Value> {
    let algorithms = ALGORITHMS.map(|(name, _)| name);
    let body = json!({
        "issuer": base,
        "jwks_uri": format!("{base}/auth/jwks"),
        "authorization_endpoint": format!("{base}/auth/authorize"),
        "token_endpoint": format!("{base}/auth/token"),
        "introspection_endpoint": format!("{base}/auth/introspect"),
        "revocation_endpoint": format!("{base}/auth/revoke"),
        "registration_endpoint": format!("{base}/auth/register"),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": SCOPES,
        "token_endpoint_auth_methods_supported":
            ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "revocation_endpoint_auth_methods_supported":
            ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
    });
    body.as_object().cloned().unwrap_or_default()
}

fn answer(body: &Value) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, KEPT)).json(body)
}
