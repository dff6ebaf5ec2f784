//! Signing keys: one for all processes, kept across restarts, sealed, changed in time.

use chrono::TimeDelta;
use serde_json::Value;

use crate::support::{eventually, test};

fn ids(keys: &Value) -> Vec<String> {
    keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn processes_share_one_key_and_a_restart_keeps_it() {
    test(|world| async move {
        let published = world.server.public_keys().borrow().clone();
        assert_eq!(ids(&published).len(), 1);
        for key in published["keys"].as_array().unwrap() {
            assert_eq!((key["kty"].as_str(), key["use"].as_str()), (Some("RSA"), Some("sig")));
            assert!(key.get("d").is_none());
        }
        let other = world.beside().await;
        assert_eq!(*other.server.public_keys().borrow(), published);
        other.stop().await;
        let again = world.beside().await;
        assert_eq!(*again.server.public_keys().borrow(), published);
        again.stop().await;
    });
}

#[test]
fn many_processes_that_begin_at_once_make_one_key() {
    test(|world| async move {
        let workspace = uuid::Uuid::new_v4().to_string();
        let open = || {
            let options = anamnesis_smart::SmartOptions::new(&workspace, "fhir", "https://ehr.example/fhir");
            anamnesis_smart::SmartServer::open(&world.database, options, world.host.clone())
        };
        let opened = futures::future::join_all((0..4).map(|_| open())).await;
        let servers: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
        let first = servers[0].public_keys().borrow().clone();
        assert_eq!(ids(&first).len(), 1);
        for server in &servers {
            assert_eq!(*server.public_keys().borrow(), first);
            server.close().await;
        }
    });
}

#[test]
fn private_keys_are_sealed_before_they_are_stored() {
    test(|world| async move {
        let query = "SELECT kid, private FROM anamnesis.smart_key WHERE realm = $1";
        let row = world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap();
        let (kid, private): (String, Vec<u8>) = (row.get(0), row.get(1));
        assert!(private.starts_with(b"smart-key/"), "the host has sealed it");
        assert!(String::from_utf8_lossy(&private).contains(&kid), "for this key alone");
    });
}

#[test]
fn a_key_signs_for_a_quarter_and_its_successor_is_published_before() {
    test(|world| async move {
        let other = world.beside().await;
        let mut published = world.server.public_keys();
        let first = ids(&published.borrow_and_update());
        world.host.pass(TimeDelta::days(89));
        world.server.maintain().await.unwrap();
        assert!(!published.has_changed().unwrap());
        world.host.pass(TimeDelta::days(1));
        world.server.maintain().await.unwrap();
        let both = ids(&published.borrow_and_update());
        assert_eq!((both.len(), &both[..1]), (2, &first[..]));
        world.server.maintain().await.unwrap();
        assert_eq!(ids(&published.borrow_and_update()), both, "one new key is enough");
        // The other process has the new key before it signs.
        other.host.pass(TimeDelta::days(90));
        other.server.maintain().await.unwrap();
        assert_eq!(ids(&other.server.public_keys().borrow()), both);
        // What the old one has signed is good for a day at most.
        world.host.pass(TimeDelta::days(2) + TimeDelta::hours(2));
        world.server.maintain().await.unwrap();
        assert_eq!(ids(&published.borrow_and_update()), both[1..]);
        other.stop().await;
    });
}

#[test]
fn a_key_that_cannot_be_opened_stops_the_server_from_beginning() {
    test(|world| async move {
        let tables = world.tables().await;
        let statement = "UPDATE anamnesis.smart_key SET private = 'x' WHERE realm = $1";
        tables.execute(statement, &[&world.realm().await]).await.unwrap();
        let mut options = anamnesis_smart::SmartOptions::new("x", "fhir", &world.base);
        options.workspace = world.base.split('/').nth(3).unwrap().to_owned();
        let opened = anamnesis_smart::SmartServer::open(&world.database, options, world.host.clone()).await;
        assert!(matches!(opened, Err(anamnesis_smart::SmartError::Host(_))), "{opened:?}");
        eventually("the running server goes on", async || world.server.maintain().await.is_ok()).await;
    });
}
