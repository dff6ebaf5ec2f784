//! Clients that act for themselves: scopes of `system` only, for minutes.

use anamnesis_smart::Happened;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Answer, SECRET, World, basic_header, claims, test};

async fn ask(world: &World, scope: &str) -> Answer {
    let header = basic_header("basic", SECRET);
    let form = [("grant_type", "client_credentials"), ("scope", scope)];
    world.post("/auth/token", &form, &[("authorization", &header)]).await
}

#[test]
fn a_client_gets_scopes_of_system_for_five_minutes() {
    test(|world| async move {
        let answer = ask(&world, "system/Patient.rs system/Observation.r").await;
        assert_eq!(answer.is_given().text("scope"), "system/Patient.rs system/Observation.r");
        assert_eq!(answer.body["expires_in"], 300);
        for name in ["refresh_token", "id_token", "patient"] {
            assert!(answer.body.get(name).is_none(), "{name}");
        }
        let said = claims(answer.text("access_token"));
        assert_eq!((&said["sub"], &said["client_id"]), (&json!("basic"), &json!("basic")));
        assert!(said.get("fhirUser").is_none() && said.get("patient").is_none());
        let [record] = world.host.records().try_into().unwrap();
        assert_eq!((record.happened, record.refused), (Happened::Token, None));
        assert_eq!((record.client.as_deref(), record.user.as_deref()), (Some("basic"), Some("basic")));
        let family: Uuid = said["fam"].as_str().unwrap().parse().unwrap();
        assert!(world.server.revoke_family(family).await.unwrap());
        assert!(world.server.is_revoked(said["jti"].as_str().unwrap().parse().unwrap(), family));
    });
}

#[test]
fn other_scopes_are_refused_and_too_many_are_narrowed() {
    test(|world| async move {
        for scope in ["patient/*.rs", "user/*.rs", "openid", "system/*.rs openid", "launch", "nonsense", ""] {
            ask(&world, scope).await.is_refused(400, "invalid_scope");
        }
        ask(&world, "system/*.cruds").await.is_refused(400, "invalid_scope");
        let answer = ask(&world, "system/Patient.rs system/Patient.cruds").await;
        assert_eq!(answer.is_given().text("scope"), "system/Patient.rs");
    });
}

#[test]
fn what_clients_of_azure_ask_for_is_all_that_they_are_registered_for() {
    test(|world| async move {
        let answer = ask(&world, &format!("{}/.default", world.base)).await;
        assert_eq!(answer.is_given().text("scope"), "system/*.rs");
        ask(&world, "https://elsewhere.example/.default").await.is_refused(400, "invalid_scope");
    });
}

#[test]
fn what_cannot_be_put_on_record_is_not_given() {
    test(|world| async move {
        world.host.mute(true);
        ask(&world, "system/*.rs").await.is_refused(503, "temporarily_unavailable");
        let query = "SELECT count(*) FROM anamnesis.smart_family WHERE realm = $1";
        let row = world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 0);
    });
}
