//! Who is let in: tokens good and bad, and what the answer tells.

use anamnesis::clock;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::authority::{Authority, Key, bearer};
use crate::support::{Answer, FHIR, Server, Setup, test_with};

/// Runs a test against a server that trusts an authority with one key.
fn guarded<T: Future<Output = ()>>(body: impl FnOnce(std::sync::Arc<Server>, Authority, Key) -> T) {
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    // Keepers of authorities are tasks of the runtime that the tests have.
    let gate = crate::support::runtime().block_on(async { authority.gate() });
    test_with(Setup { gate: Some(gate), ..Setup::default() }, |server| body(server, authority, key));
}

async fn get(server: &Server, path: &str, token: &str) -> Answer {
    server.send("GET", path, &[("Authorization", &bearer(token))], "").await
}

/// Checks that nobody is let in, and gives what the header says.
fn challenge(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    let code = answer.json()["issue"][0]["code"].clone();
    assert!(matches!(code.as_str(), Some("login" | "expired" | "invalid")), "{}", answer.text());
    answer.header("www-authenticate").to_owned()
}

#[test]
fn a_good_token_is_let_in_and_names_the_writer() {
    guarded(async |server, authority, key| {
        let token = key.sign(&authority.claims("FHIR Data Contributor"));
        let headers = [("Authorization", &*bearer(&token)), FHIR];
        let patient = json!({"resourceType": "Patient", "id": "a"}).to_string();
        let made = server.send("PUT", "/Patient/a", &headers, patient).await;
        assert_eq!(made.status, 201, "{}", made.text());
        assert_eq!(get(&server, "/Patient/a", &token).await.status, 200);
        let event = server.log.read(anamnesis_events::Position::new(0), 1).await.unwrap().remove(0);
        assert_eq!(&*event.agent, "FHIR Data Contributor");
    });
}

#[test]
fn without_a_token_there_is_nothing_but_how_to_get_one() {
    guarded(async |server, _, _| {
        for (method, path) in [
            ("GET", "/Patient/a"),
            ("GET", "/Patient"),
            ("POST", "/Patient"),
            ("POST", ""),
            ("GET", "/Nothing/a"),
            ("GET", "/$reindex"),
            ("PUT", "/metadata"),
            ("GET", "/Patient/a/$everything"),
        ] {
            let answer = server.send(method, path, &[FHIR], "{").await;
            assert_eq!(challenge(&answer, 401), "Bearer", "{method} {path}");
        }
        for path in ["/$events", "/$actors", "/$projections"] {
            let answer = server.workspace("GET", path, &[], "").await;
            assert_eq!(challenge(&answer, 401), "Bearer", "{path}");
        }
        for path in ["/$rebuild", "/$unpark"] {
            let answer = server.workspace("POST", path, &[FHIR], "{}").await;
            assert_eq!(challenge(&answer, 401), "Bearer", "{path}");
        }
        let basic = server.send("GET", "/Patient", &[("Authorization", "Basic dTpw")], "").await;
        assert_eq!(challenge(&basic, 401), "Bearer");
    });
}

#[test]
fn what_the_server_can_do_is_told_to_everybody() {
    guarded(async |server, authority, key| {
        for path in ["/metadata", "/$versions"] {
            assert_eq!(server.get(path).await.status, 200, "{path}");
            assert_eq!(server.send("HEAD", path, &[], "").await.status, 200, "{path}");
            // Also to who has a token that is no good any more.
            let late = json!({"exp": clock::now().timestamp() - 600});
            assert_eq!(get(&server, path, &key.sign(&with(&authority, &late))).await.status, 200, "{path}");
        }
        assert_eq!(server.send("OPTIONS", "/Patient", &[], "").await.status, 204);
        assert_eq!(server.send("OPTIONS", "/Patient/a", &[], "").await.status, 204);
    });
}

/// The usual claims with others in their place; null takes one away.
fn with(authority: &Authority, changes: &Value) -> Value {
    let mut claims = authority.claims("FHIR Data Contributor");
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[test]
fn a_token_for_others_or_another_time_is_refused() {
    guarded(async |server, authority, key| {
        let now = clock::now().timestamp();
        for (changes, word) in [
            (json!({"iss": "https://evil.example"}), "issuer"),
            (json!({"iss": null}), "issuer"),
            (json!({"aud": "https://other.example"}), "audience"),
            (json!({"aud": ["https://other.example"]}), "audience"),
            (json!({"aud": null}), "audience"),
            (json!({"exp": now - 61}), "expired"),
            (json!({"exp": null}), "expires"),
            (json!({"exp": "never"}), "number"),
            (json!({"nbf": now + 300}), "not valid yet"),
            (json!({"iat": now + 300}), "not valid yet"),
            (json!({"sub": null, "oid": null}), "whose"),
            (json!({"sub": null, "oid": "a\nb"}), "whose"),
        ] {
            let token = key.sign(&with(&authority, &changes));
            let told = challenge(&get(&server, "/Patient", &token).await, 401);
            assert!(
                told.starts_with("Bearer error=\"invalid_token\"") && told.contains(word),
                "{changes}: {told}"
            );
        }
        let expired = key.sign(&with(&authority, &json!({"exp": now - 61})));
        assert_eq!(get(&server, "/Patient", &expired).await.outcome(), "expired");
        // Clocks may be a little apart.
        let just = key.sign(&with(&authority, &json!({"exp": now - 20})));
        assert_eq!(get(&server, "/Patient", &just).await.status, 200);
    });
}

#[test]
fn a_token_that_is_not_signed_with_a_key_of_the_authority_is_refused() {
    guarded(async |server, authority, key| {
        let claims = authority.claims("FHIR Data Contributor");
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let good = key.sign(&claims);
        let signature = good.rsplit('.').next().unwrap();
        let hs256 = {
            // The public key, which everybody can have, as if it were a secret.
            let secret =
                jsonwebtoken::EncodingKey::from_secret(key.public()["x"].as_str().unwrap().as_bytes());
            let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
            header.kid = Some(key.id.clone());
            jsonwebtoken::encode(&header, &claims, &secret).unwrap()
        };
        let tampered = good.replacen(
            good.split('.').nth(1).unwrap(),
            &part(&with(&authority, &json!({"oid": "Operator"}))),
            1,
        );
        for token in [
            format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims)),
            format!("{}.{}.{signature}", part(&json!({"alg": "none", "kid": "one"})), part(&claims)),
            hs256,
            tampered,
            Key::new("one").sign(&claims),
            Key::rsa("one").sign(&claims),
            "a.b.c".to_owned(),
            "garbage".to_owned(),
            good.clone() + "x",
            "x".repeat(20_000),
        ] {
            let told = challenge(&get(&server, "/Patient", &token).await, 401);
            assert!(told.contains("invalid_token"), "{told}");
            assert!(!token.starts_with("ey") || !told.contains(&token[..20]), "no part of a token is told");
        }
        assert_eq!(get(&server, "/Patient", &good).await.status, 200);
    });
}

#[test]
fn tokens_come_in_one_header_and_nowhere_else() {
    guarded(async |server, authority, key| {
        let token = key.sign(&authority.claims("FHIR Data Reader"));
        let line = bearer(&token);
        let lower = format!("bearer   {token}");
        assert_eq!(server.send("GET", "/Patient", &[("Authorization", &lower)], "").await.status, 200);
        let twice = [("Authorization", &*line), ("Authorization", &*line)];
        let told = challenge(&server.send("GET", "/Patient", &twice, "").await, 400);
        assert!(told.contains("invalid_request"), "{told}");
        let path = format!("/Patient?access_token={token}");
        assert!(challenge(&server.get(&path).await, 400).contains("invalid_request"));
        assert!(challenge(&get(&server, &path, &token).await, 400).contains("invalid_request"));
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let posted = server.send("POST", "/Patient/_search", &form, format!("access_token={token}")).await;
        assert_eq!(challenge(&posted, 401), "Bearer");
    });
}

#[test]
fn nobody_without_a_token_has_a_body_read() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    guarded(async |server, _, _| {
        let mut connection =
            tokio::net::TcpStream::connect(server.root.strip_prefix("http://").unwrap()).await.unwrap();
        // Thirty million bytes are announced, and none is sent: the answer does not wait for them.
        let head = "POST /default/fhir HTTP/1.1\r\nHost: here\r\nContent-Type: application/fhir+json\r\n\
            Content-Length: 30000000\r\n\r\n";
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        let read =
            tokio::time::timeout(std::time::Duration::from_secs(20), connection.read_exact(&mut start));
        read.await.unwrap().unwrap();
        assert_eq!(&start, b"HTTP/1.1 401");
    });
}

#[test]
fn a_token_of_entra_is_taken_as_it_is() {
    use crate::support::authority::every_role;
    use anamnesis::access::Gate;
    use anamnesis::access::token::authority::{Authority as Known, Source};
    use anamnesis::access::token::issuer::Issuers;
    use anamnesis::access::token::keeper::{Keeper, KeeperOptions};

    const TENANT: &str = "0f5e7d1c-1111-4222-8333-444455556666";
    let key = Key::rsa("entra");
    let authority = Authority::start(&[&key]);
    let issuers = ["https://sts.windows.net/{tenantid}/".to_owned()];
    // Its metadata name an issuer on another host, as Entra's do.
    authority.say(json!({
        "issuer": format!("https://sts.windows.net/{TENANT}/"), "jwks_uri": format!("{}/keys", authority.address),
    }));
    let gate = crate::support::runtime().block_on(async {
        let trusted = authority.trusted(KeeperOptions::default(), every_role());
        let named = Issuers::named(&issuers, &[TENANT.to_owned()]);
        let address = authority.address.parse().unwrap();
        let keeper = Keeper::start(address, (named, true), KeeperOptions::default()).unwrap();
        let source = Source::Asked(std::sync::Arc::new(keeper));
        let authority = Known { source, ..trusted.authority.clone() };
        Gate::guarded(vec![anamnesis::access::gate::Trusted { authority, ..trusted }])
    });
    test_with(Setup { gate: Some(gate), ..Setup::default() }, |server| async move {
        let now = clock::now().timestamp();
        let claims = |tenant: &str, oid: &str| {
            json!({
                "aud": "https://fhir.example/", "iss": format!("https://sts.windows.net/{tenant}/"), "iat": now,
                "nbf": now, "exp": now + 3599, "aio": "E2Zg", "appid": "11112222-0000-4000-8000-000000000000",
                "appidacr": "1", "idp": format!("https://sts.windows.net/{tenant}/"), "idtyp": "user", "oid": oid,
                "rh": "0.AX", "sub": "pairwise", "tid": tenant, "uti": "x", "ver": "1.0",
            })
        };
        let answer = get(&server, "/Patient", &key.sign(&claims(TENANT, "FHIR Data Reader"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = get(&server, "/Patient", &key.sign(&claims(TENANT, "somebody else"))).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        let other = "99999999-1111-4222-8333-444455556666";
        let answer = get(&server, "/Patient", &key.sign(&claims(other, "FHIR Data Reader"))).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        drop(authority);
    });
}

#[test]
fn the_commands_bring_a_token() {
    use anamnesis::feed::{FeedError, Request, read};
    use reqwest::header::{AUTHORIZATION, HeaderMap};
    guarded(async |server, authority, key| {
        let made = bearer(&key.sign(&authority.claims("FHIR Data Contributor")));
        let headers = [("Authorization", &*made), FHIR];
        server.send("PUT", "/Patient/a", &headers, r#"{"resourceType":"Patient","id":"a"}"#).await;
        for (role, is_allowed) in
            [(Some("Auditor"), true), (Some("FHIR Data Contributor"), false), (None, false)]
        {
            let mut headers = HeaderMap::new();
            if let Some(role) = role {
                let line = bearer(&key.sign(&authority.claims(role)));
                headers.insert(AUTHORIZATION, line.parse().unwrap());
            }
            let workspace = format!("{}/default", server.root).parse().unwrap();
            let request =
                Request { workspace, from: 1, to: None, follow: false, filters: Vec::new(), headers };
            let mut lines = 0;
            let ended = read(request, |_, _| {
                lines += 1;
                true
            });
            let ended = ended.await;
            match is_allowed {
                true => assert!(ended.is_ok() && lines == 1, "{role:?}: {ended:?}"),
                false => {
                    assert!(matches!(ended, Err(FeedError::Refused(_))) && lines == 0, "{role:?}: {ended:?}")
                }
            }
        }
    });
}

#[test]
fn roles_that_are_taken_away_end_at_once() {
    use anamnesis::access::assignment::{Holder, Roles};
    use anamnesis::access::token::keeper::KeeperOptions;
    use anamnesis::access::{Gate, Role};
    let key = Key::new("one");
    let authority = Authority::start(&[&key]);
    let mut roles = Roles::default();
    roles.assign(Role::FhirDataReader, Holder::User, "ann");
    let gate = crate::support::runtime()
        .block_on(async { Gate::guarded(vec![authority.trusted(KeeperOptions::default(), roles.clone())]) });
    test_with(Setup { gate: Some(gate), ..Setup::default() }, |server| async move {
        let token = key.sign(&authority.claims("ann"));
        let asked = async || get(&server, "/Patient", &token).await.status.as_u16();
        assert_eq!((asked().await, asked().await), (200, 200));
        roles.r#become(&Roles::default());
        assert_eq!(asked().await, 403, "a token that is known to be good is looked at again");
        let mut again = Roles::default();
        again.assign(Role::FhirDataContributor, Holder::User, "ann");
        roles.r#become(&again);
        assert_eq!(asked().await, 200);
    });
}
