//! Registration of clients over the API: by operators, by anybody where that is open, and by the clients themselves.

use anamnesis_smart::{Happened, SmartOptions};
use serde_json::{Value, json};

use crate::support::keys::es384;
use crate::support::{Answer, REDIRECT, World, answer, basic_header, claims, redeeming, test, test_with};

fn open(options: &mut SmartOptions) {
    options.open_registration = true;
}

fn described() -> Value {
    json!({
        "client_name": "An App", "redirect_uris": [REDIRECT], "scope": "openid offline_access patient/*.rs",
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"], "software_id": "ignored", "contacts": ["a@app.example"],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut described = described();
    described[name] = value;
    described
}

async fn send(world: &World, method: &str, path: &str, token: &str, body: Option<&Value>) -> Answer {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = world.http.request(method, format!("{}{path}", world.at));
    if !token.is_empty() {
        request = request.bearer_auth(token);
    }
    answer(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

async fn register(world: &World, token: &str, body: &Value) -> Answer {
    send(world, "POST", "/auth/register", token, Some(body)).await
}

#[test]
fn an_operator_registers_a_client_that_then_gets_tokens() {
    test(|world| async move {
        let made = register(&world, "operator", &described()).await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        assert_eq!(made.headers["cache-control"], "no-store");
        let id = made.text("client_id").to_owned();
        for (name, value) in described().as_object().unwrap() {
            if !["software_id", "contacts"].contains(&name.as_str()) {
                assert_eq!(&made.body[name], value, "{name}");
            }
        }
        assert!(made.body.get("client_secret").is_none() && made.body.get("secret_digest").is_none());
        assert_eq!(made.text("registration_client_uri"), format!("{}/auth/register/{id}", world.base));
        let [record] = world.host.records().try_into().unwrap();
        assert_eq!((record.happened, record.user.as_deref()), (Happened::Registration, Some("operator")));
        assert_eq!(record.client.as_deref(), Some(id.as_str()));
        // Another process knows it.
        let other = world.beside().await;
        let code = world.code(&id, "patient/*.rs").await;
        other.token(&redeeming(&id, &code)).await.is_given();
        other.stop().await;
    });
}

#[test]
fn secrets_are_made_here_and_told_once() {
    test(|world| async move {
        let body = json!({
            "client_name": "A Backend", "scope": "system/*.rs", "grant_types": ["client_credentials"],
        });
        let made = register(&world, "operator", &body).await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        assert_eq!(made.text("token_endpoint_auth_method"), "client_secret_basic");
        assert_eq!(
            (made.text("client_secret").len(), &made.body["client_secret_expires_at"]),
            (43, &json!(0))
        );
        let (id, management) = (made.text("client_id"), made.text("registration_access_token"));
        let header = basic_header(id, made.text("client_secret"));
        let form = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];
        world.post("/auth/token", &form, &[("authorization", &header)]).await.is_given();
        let told = send(&world, "GET", &format!("/auth/register/{id}"), management, None).await;
        assert_eq!(told.is_given().text("client_id"), id);
        assert!(told.body.get("client_secret").is_none() && told.body.get("secret_digest").is_none());
        assert!(told.body.get("registration_access_token").is_none());
        let query =
            "SELECT said::text || encode(management, 'escape') FROM anamnesis.smart_client WHERE id = $1";
        let stored: String = world.tables().await.query_one(query, &[&id]).await.unwrap().get(0);
        assert!(!stored.contains(made.text("client_secret")) && !stored.contains(management));
    });
}

#[test]
fn only_operators_register_unless_it_is_open() {
    test(|world| async move {
        let refused = register(&world, "", &described()).await;
        refused.is_refused(401, "invalid_token");
        assert!(refused.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        for token in ["clinician", "wrong"] {
            register(&world, token, &described()).await.is_refused(403, "access_denied");
        }
        let records = world.host.records();
        assert!(records.len() == 3 && records.iter().all(|record| record.refused.is_some()));
        world.host.mute(true);
        let unheard = register(&world, "operator", &described()).await;
        unheard.is_refused(503, "temporarily_unavailable");
        let query = "SELECT count(*) FROM anamnesis.smart_client WHERE realm = $1";
        let row = world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 0);
    });
}

#[test]
fn anybody_gets_no_more_than_users_can_give() {
    test_with(open, |world| async move {
        let asked = with("scope", json!("patient/*.rs system/*.rs break-glass openid"));
        let made = register(&world, "", &asked).await;
        assert_eq!((made.status, made.text("scope")), (201, "patient/*.rs openid"));
        assert_eq!((&made.body["is_trusted"], &made.body["may_introspect"]), (&json!(false), &json!(false)));
        for (name, value) in
            [("is_trusted", json!(true)), ("may_introspect", json!(true)), ("scope", json!("system/*.rs"))]
        {
            register(&world, "", &with(name, value)).await.is_refused(400, "invalid_client_metadata");
        }
        let mut backend = with("grant_types", json!(["client_credentials"]));
        backend["token_endpoint_auth_method"] = json!("client_secret_basic");
        register(&world, "", &backend).await.is_refused(400, "invalid_client_metadata");
        let mut inside = with("token_endpoint_auth_method", json!("private_key_jwt"));
        inside["jwks_uri"] = json!("http://127.0.0.1:5432/");
        register(&world, "", &inside).await.is_refused(400, "invalid_client_metadata");
        register(&world, "wrong", &described()).await.is_refused(403, "access_denied");
    });
}

#[test]
fn descriptions_that_make_no_sense_are_refused_with_their_place() {
    test(|world| async move {
        let long = format!("https://app.example/{}", "x".repeat(2_000));
        let many: Vec<String> = (0..21).map(|index| format!("https://app.example/{index}")).collect();
        for (value, place) in [
            (json!([]), "redirect_uris"),
            (json!(["http://app.example/"]), "redirect_uris[0]"),
            (json!([REDIRECT, "https://app.example/#x"]), "redirect_uris[1]"),
            (json!(["javascript:alert(1)"]), "redirect_uris[0]"),
            (json!([long]), "redirect_uris[0]"),
            (json!(many), "redirect_uris"),
        ] {
            let refused = register(&world, "operator", &with("redirect_uris", value)).await;
            let says = refused.is_refused(400, "invalid_redirect_uri").text("error_description");
            assert!(says.contains(place), "{says}");
        }
        let key = es384();
        let private = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "d": "AQAB"}]});
        for (name, value) in [
            ("redirect_uris", json!("https://app.example/")),
            ("scope", json!("nonsense")),
            ("scope", json!("")),
            ("scope", Value::Null),
            ("scope", json!("x".repeat(9_000))),
            ("client_name", json!("")),
            ("client_name", json!("a\nb")),
            ("client_name", json!("\u{0}")),
            ("client_name", json!("x".repeat(201))),
            ("grant_types", json!([])),
            ("grant_types", json!(["implicit"])),
            ("grant_types", json!(["refresh_token"])),
            ("grant_types", json!(["client_credentials"])),
            ("response_types", json!(["token"])),
            ("token_endpoint_auth_method", json!("client_secret_jwt")),
            ("token_endpoint_auth_method", json!("private_key_jwt")),
            ("jwks", json!({"keys": "none"})),
            ("jwks", private),
            ("jwks_uri", json!("http://app.example/keys")),
            ("client_uri", json!("javascript:alert(1)")),
            ("initiate_login_uri", json!("http://app.example/")),
        ] {
            let refused = register(&world, "operator", &with(name, value)).await;
            let says = refused.is_refused(400, "invalid_client_metadata").text("error_description");
            assert!(
                says.contains(name) || says.contains("body") || says.contains("private_key_jwt"),
                "{name}: {says}"
            );
        }
        let mut both = with("token_endpoint_auth_method", json!("private_key_jwt"));
        both["jwks"] = json!({"keys": [key.jwk]});
        both["jwks_uri"] = json!("https://app.example/keys");
        register(&world, "operator", &both).await.is_refused(400, "invalid_client_metadata");
        both.as_object_mut().unwrap().remove("jwks_uri");
        assert_eq!(register(&world, "operator", &both).await.status, 201);
        register(&world, "operator", &json!([])).await.is_refused(400, "invalid_client_metadata");
        let form = world.post("/auth/register", &[("a", "b")], &[("authorization", "Bearer operator")]).await;
        form.is_refused(400, "invalid_request");
        let huge = register(&world, "operator", &with("x", json!("x".repeat(70_000)))).await;
        huge.is_refused(413, "invalid_request");
    });
}

#[test]
fn a_client_manages_itself_and_gets_no_more_by_it() {
    test(|world| async move {
        let made = register(&world, "operator", &described()).await;
        let (id, token) = (made.text("client_id"), made.text("registration_access_token"));
        let path = format!("/auth/register/{id}");
        let mut change = with("client_name", json!("Another Name"));
        change["client_id"] = json!(id);
        change["scope"] = json!("openid patient/Observation.rs user/*.rs system/*.rs");
        let changed = send(&world, "PUT", &path, token, Some(&change)).await;
        assert_eq!(changed.is_given().text("client_name"), "Another Name");
        assert_eq!(changed.text("scope"), "openid patient/Observation.rs", "it had no more");
        for (name, value) in [
            ("is_trusted", json!(true)),
            ("client_id", json!("other")),
            ("client_secret", json!("chosen")),
            ("redirect_uris", json!(["http://app.example/"])),
        ] {
            let mut wrong = change.clone();
            wrong[name] = value;
            assert_eq!(send(&world, "PUT", &path, token, Some(&wrong)).await.status, 400, "{name}");
        }
        change["is_trusted"] = json!(true);
        change["scope"] = json!("openid user/*.rs");
        let changed = send(&world, "PUT", &path, "operator", Some(&change)).await;
        assert_eq!(changed.is_given().body["is_trusted"], true);
        assert_eq!(changed.text("scope"), "openid user/*.rs");
        let told = send(&world, "GET", &path, token, None).await;
        assert_eq!(told.is_given().text("scope"), "openid user/*.rs");
    });
}

#[test]
fn nobody_else_manages_a_client() {
    test(|world| async move {
        let made = register(&world, "operator", &described()).await;
        let other = register(&world, "operator", &described()).await;
        let path = format!("/auth/register/{}", made.text("client_id"));
        for method in ["GET", "PUT", "DELETE"] {
            let body = Some(described()).filter(|_| method == "PUT");
            let send = async |token: &str| send(&world, method, &path, token, body.as_ref()).await;
            send("").await.is_refused(401, "invalid_token");
            send(other.text("registration_access_token")).await.is_refused(403, "access_denied");
            send("clinician").await.is_refused(403, "access_denied");
        }
        send(&world, "GET", "/auth/register/unknown", "operator", None)
            .await
            .is_refused(404, "invalid_token");
        send(&world, "GET", "/auth/register/unknown", "x", None).await.is_refused(403, "access_denied");
        // Those of the configuration are not registered.
        send(&world, "DELETE", "/auth/register/public", "operator", None)
            .await
            .is_refused(404, "invalid_token");
    });
}

#[test]
fn a_client_that_is_removed_takes_its_tokens_with_it() {
    test(|world| async move {
        let made = register(&world, "operator", &described()).await;
        let (id, token) = (made.text("client_id"), made.text("registration_access_token"));
        let code = world.code(id, "offline_access patient/*.rs").await;
        let given = world.token(&redeeming(id, &code)).await;
        let said = claims(given.is_given().text("access_token"));
        let path = format!("/auth/register/{id}");
        assert_eq!(send(&world, "DELETE", &path, token, None).await.status, 204);
        let claim = |name: &str| said[name].as_str().unwrap().parse().unwrap();
        assert!(world.server.is_revoked(claim("jti"), claim("fam")));
        let refresh = given.text("refresh_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh), ("client_id", id)];
        world.token(&form).await.is_refused(401, "invalid_client");
        send(&world, "GET", &path, token, None).await.is_refused(403, "access_denied");
    });
}
