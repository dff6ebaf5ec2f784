//! What apps are told about the server, and which web pages may ask it.

use serde_json::json;

use crate::support::{answer, test, test_with};

#[test]
fn apps_are_told_what_smart_and_openid_have_them_told() {
    test(|world| async move {
        let smart = world.get("/.well-known/smart-configuration").await;
        smart.is_given();
        assert!(smart.headers["content-type"].to_str().unwrap().starts_with("application/json"));
        assert_eq!(smart.text("issuer"), world.base);
        for (name, path) in [
            ("jwks_uri", "jwks"),
            ("authorization_endpoint", "authorize"),
            ("token_endpoint", "token"),
            ("introspection_endpoint", "introspect"),
            ("revocation_endpoint", "revoke"),
            ("registration_endpoint", "register"),
        ] {
            assert_eq!(smart.text(name), format!("{}/auth/{path}", world.base));
        }
        assert_eq!(smart.body["code_challenge_methods_supported"], json!(["S256"]));
        let has = |name: &str, value: &str| smart.body[name].as_array().unwrap().contains(&json!(value));
        for capability in [
            "launch-ehr",
            "launch-standalone",
            "client-public",
            "client-confidential-symmetric",
            "client-confidential-asymmetric",
            "sso-openid-connect",
            "permission-v1",
            "permission-v2",
            "authorize-post",
        ] {
            assert!(has("capabilities", capability), "{capability}");
        }
        assert!(has("token_endpoint_auth_signing_alg_values_supported", "RS384"));
        assert!(has("token_endpoint_auth_signing_alg_values_supported", "ES384"));
        assert!(has("token_endpoint_auth_methods_supported", "private_key_jwt"));
        assert!(has("grant_types_supported", "client_credentials"));
        assert!(!has("token_endpoint_auth_signing_alg_values_supported", "none"));

        let openid = world.get("/.well-known/openid-configuration").await;
        assert_eq!(openid.text("issuer"), world.base);
        assert_eq!(openid.body["id_token_signing_alg_values_supported"], json!(["RS256"]));
        assert_eq!(openid.body["subject_types_supported"], json!(["public"]));
        let keys = world.get("/auth/jwks").await;
        assert_eq!(keys.body, **world.server.public_keys().borrow());
    });
}

#[test]
fn web_pages_of_any_origin_may_ask_without_cookies() {
    test(|world| async move {
        for path in ["/auth/token", "/auth/revoke", "/auth/register", "/auth/jwks"] {
            let url = format!("{}{path}", world.at);
            let preflight = world.http.request(reqwest::Method::OPTIONS, &url);
            let preflight = preflight
                .header("origin", "https://app.example")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "authorization");
            let allowed = answer(preflight).await;
            assert_eq!(allowed.status, 204, "{path}");
            assert_eq!(allowed.headers["access-control-allow-origin"], "*");
            let names = allowed.headers["access-control-allow-headers"].to_str().unwrap();
            assert!(names.contains("authorization") && names.contains("content-type"));
            assert!(!allowed.headers.contains_key("access-control-allow-credentials"));
        }
        let refused = world.post("/auth/token", &[], &[("origin", "https://app.example")]).await;
        assert_eq!(refused.is_refused(401, "invalid_client").headers["access-control-allow-origin"], "*");
    });
}

#[test]
fn only_the_origins_of_the_options_may_ask() {
    test_with(
        |options| options.origins = vec!["https://app.example".into()],
        |world| async move {
            let ask = async |origin: &str| {
                answer(world.http.get(format!("{}/auth/jwks", world.at)).header("origin", origin))
                    .await
                    .headers
            };
            let headers = ask("https://app.example").await;
            assert_eq!(headers["access-control-allow-origin"], "https://app.example");
            assert_eq!(headers["vary"], "Origin");
            for origin in ["https://other.example", "https://app.example.evil", "null", "https://APP.example"]
            {
                assert!(!ask(origin).await.contains_key("access-control-allow-origin"), "{origin}");
            }
        },
    );
}
