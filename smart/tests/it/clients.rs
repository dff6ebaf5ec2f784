//! How clients show who they are, and which requests are none at all.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{SECRET, answer, basic_header, redeeming, test};

const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("scope", "system/*.rs")];

#[test]
fn each_client_shows_who_it_is_in_its_own_way() {
    test(|world| async move {
        let basic = basic_header("basic", SECRET);
        world.post("/auth/token", &FORM, &[("authorization", &basic)]).await.is_given();
        let escaped = basic_header("%62asic", &SECRET.replace('-', "%2D"));
        world.post("/auth/token", &FORM, &[("authorization", &escaped)]).await.is_given();
        let lower = basic.replace("Basic", "basic");
        world.post("/auth/token", &FORM, &[("authorization", &lower)]).await.is_given();
        let secret = [("client_id", "post"), ("client_secret", SECRET)];
        world.token(&[FORM, secret].concat()).await.is_given();
        // Not in another one's.
        let post = basic_header("post", SECRET);
        world.post("/auth/token", &FORM, &[("authorization", &post)]).await.is_refused(401, "invalid_client");
        let secret = [("client_id", "basic"), ("client_secret", SECRET)];
        world.token(&[FORM, secret].concat()).await.is_refused(401, "invalid_client");
        let code = world.code("public", "patient/*.rs").await;
        let form = [&redeeming("public", &code)[..], &[("client_secret", SECRET)]].concat();
        world.token(&form).await.is_refused(401, "invalid_client");
        world.redeem(&code).await.is_given();
    });
}

#[test]
fn who_does_not_show_it_is_refused_in_one_way() {
    test(|world| async move {
        let wrong = [
            basic_header("basic", "wrong"),
            basic_header("basic", ""),
            basic_header("basic", &SECRET[1..]),
            basic_header("unknown", SECRET),
            basic_header("", ""),
            basic_header("public", ""),
            basic_header("basic", &format!("{SECRET}%00")),
            basic_header(&"x".repeat(300), SECRET),
            "Basic %%%".into(),
            "Basic".into(),
            "Bearer x".into(),
            format!("Digest {SECRET}"),
        ];
        for header in wrong {
            let refused = world.post("/auth/token", &FORM, &[("authorization", &header)]).await;
            refused.is_refused(401, "invalid_client");
            let challenge = refused.headers["www-authenticate"].to_str().unwrap();
            assert!(challenge.starts_with("Basic realm="), "{challenge}");
        }
        for id in ["basic", "post", "unknown"] {
            let refused = world.token(&[&FORM[..], &[("client_id", id)]].concat()).await;
            refused.is_refused(401, "invalid_client");
        }
        world.token(&FORM).await.is_refused(401, "invalid_client");
        let records = world.host.records();
        assert_eq!(records.len(), 16);
        assert!(records.iter().all(|record| record.refused.is_some()));
        assert!(
            records.iter().all(|record| record.client.as_deref() != Some("unknown")),
            "only who is known"
        );
    });
}

#[test]
fn whoever_shows_it_twice_is_refused() {
    test(|world| async move {
        let basic = basic_header("basic", SECRET);
        for more in [
            &[("client_secret", SECRET)][..],
            &[("client_id", "basic"), ("client_secret", SECRET)],
            &[("client_id", "post")],
            &[("client_assertion", "a.b.c")],
            &[("client_assertion_type", "other")],
        ] {
            let form = [&FORM[..], more].concat();
            let refused = world.post("/auth/token", &form, &[("authorization", &basic)]).await;
            refused.is_refused(400, "invalid_request");
        }
        let headers = [("authorization", basic.as_str()), ("authorization", &basic)];
        world.post("/auth/token", &FORM, &headers).await.is_refused(400, "invalid_request");
        let same = [&FORM[..], &[("client_id", "basic")]].concat();
        world.post("/auth/token", &same, &[("authorization", &basic)]).await.is_given();
    });
}

#[test]
fn what_is_no_form_is_refused_and_never_breaks_the_server() {
    test(|world| async move {
        let url = format!("{}/auth/token", world.at);
        let send = async |kind: &str, body: Vec<u8>| {
            answer(world.http.post(&url).header("content-type", kind).body(body)).await
        };
        const FORM: &str = "application/x-www-form-urlencoded";
        send("application/json", b"{}".to_vec()).await.is_refused(400, "invalid_request");
        send(FORM, b"grant_type=a&grant_type=b".to_vec()).await.is_refused(400, "invalid_request");
        send(FORM, b"client_id=%zz".to_vec()).await.is_refused(400, "invalid_request");
        send(FORM, b"client_id=\xff".to_vec()).await.is_refused(400, "invalid_request");
        send(FORM, b"client_id=%00".to_vec()).await.is_refused(400, "invalid_request");
        send(FORM, vec![b'a'; 70_000]).await.is_refused(413, "invalid_request");
        send(FORM, Vec::new()).await.is_refused(401, "invalid_client");
        let code = world.code("public", "patient/*.rs").await;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(redeeming("public", &code))
            .finish();
        send("application/x-www-form-urlencoded; charset=UTF-8", form.into_bytes()).await.is_given();
        let query = world.http.post(format!("{url}?client_secret=x")).header("content-type", FORM);
        answer(query.body("client_id=public")).await.is_refused(400, "invalid_request");
        let got = world.get("/auth/token").await;
        assert_eq!(got.status, 405);
    });
}

#[test]
fn clients_that_make_no_sense_stop_the_server_from_beginning() {
    test(|world| async move {
        let open = async |change: fn(&mut anamnesis_smart::SmartOptions)| {
            let mut options = anamnesis_smart::SmartOptions::new("w", "fhir", "https://ehr.example/fhir");
            options.clients = vec![crate::support::public(), crate::support::basic()];
            change(&mut options);
            let opened =
                anamnesis_smart::SmartServer::open(&world.database, options, world.host.clone()).await;
            opened.map(|_| ()).unwrap_err().to_string()
        };
        let says = |error: String, what: &str| assert!(error.contains(what), "{error}");
        says(open(|options| options.clients[1].id = "public".into()).await, "another one of its id");
        says(open(|options| options.clients[1].secret_digest = None).await, "needs a secret");
        says(open(|options| options.clients[0].scope = "nonsense".into()).await, "client 0");
        says(
            open(|options| options.clients[0].redirect_uris = vec!["http://a.example/".into()]).await,
            "http",
        );
        says(open(|options| options.access_for = std::time::Duration::from_secs(90_000)).await, "access_for");
        says(open(|options| options.base.push('/')).await, "base");
    });
}

/// Something that might stand in a form, right or wrong.
fn pair() -> impl Strategy<Value = (String, String)> {
    let names = proptest::sample::select(vec![
        "grant_type",
        "code",
        "redirect_uri",
        "code_verifier",
        "refresh_token",
        "scope",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
        "token",
        "token_type_hint",
    ]);
    let values = proptest::sample::select(vec![
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "public",
        "basic",
        "post",
        SECRET,
        "system/*.rs",
        "patient/*.rs openid",
        "https://app.example/callback",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "eyJhbGciOiJub25lIn0.e30.x",
        crate::support::VERIFIER,
    ]);
    let values = prop_oneof![4 => values.prop_map(str::to_owned), 1 => "\\PC{0,60}", 1 => any::<String>()];
    (prop_oneof![9 => names.prop_map(str::to_owned), 1 => "[a-z_]{1,10}"], values)
}

#[test]
fn whatever_is_sent_is_answered_as_a_mistake_of_the_app() {
    let runner = std::cell::RefCell::new(TestRunner::new(Config::with_cases(300)));
    test(|world| async move {
        let strategy = (
            proptest::sample::select(vec!["/auth/token", "/auth/introspect", "/auth/revoke"]),
            proptest::collection::vec(pair(), 0..8),
            proptest::option::of(proptest::sample::select(vec![
                basic_header("basic", SECRET),
                basic_header("post", SECRET),
                "Basic Og==".to_owned(),
                "Bearer x".to_owned(),
            ])),
        );
        for _ in 0..300 {
            let tree = strategy.new_tree(&mut runner.borrow_mut()).unwrap();
            let (path, pairs, header) = tree.current();
            let form: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            let headers: Vec<(&str, &str)> =
                header.iter().map(|value| ("authorization", value.as_str())).collect();
            let answered = world.post(path, &form, &headers).await;
            let expected = [200, 400, 401];
            assert!(expected.contains(&answered.status), "{path} {form:?} {header:?}: {answered:?}");
            assert!(answered.status == 200 || answered.body["error"].is_string());
        }
    });
}
