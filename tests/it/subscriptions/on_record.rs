//! What is sent to subscribers is in the audit log before it is sent; what cannot be put there is not sent.

use std::sync::Arc;

use anamnesis::audit::Mode;
use anamnesis_audit::{Action, AuditOptions, Kind, Outcome, Record};

use super::receiver::{Mood, Receiver};
use super::{of_topic, options, put, rest_hook, subscribe, wait_for_status};
use crate::audit_records::records;
use crate::support::{Server, Setup, eventually, runtime, test_with};

fn audited<T: Future<Output = ()>>(body: impl FnOnce(Arc<Server>, Arc<Receiver>) -> T) {
    let receiver = Arc::new(runtime().block_on(Receiver::start()));
    let setup = Setup {
        subscriptions: Some(options(&receiver)),
        audit: Some((AuditOptions::default(), Mode::Required)),
        ..Setup::default()
    };
    test_with(setup, |server| body(server, receiver));
}

/// The records of notifications.
async fn sent(server: &Server) -> Vec<Record> {
    records(server, 0).await.into_iter().filter(|record| record.kind == Kind::Export).collect()
}

#[test]
fn a_notification_names_subscription_resource_and_patient() {
    audited(|server, receiver| async move {
        subscribe(&server, &rest_hook(&receiver)).await;
        wait_for_status(&server, "active").await;
        put(&server, "1", "final", 1).await;
        put(&server, "2", "final", 2).await;
        eventually("both are told", async || receiver.taken().len() >= 2).await;
        let sent = sent(&server).await;
        assert_eq!(sent.len(), 2, "{sent:?}");
        for (number, record) in sent.iter().enumerate() {
            assert_eq!((record.subtype.as_str(), record.action), ("notification", Action::R));
            assert_eq!(
                (record.outcome, record.status, record.service.as_str()),
                (Outcome::Success, 0, "fhir")
            );
            assert_eq!(&*record.agent.subject, "anamnesis");
            let named: Vec<String> = record
                .entities
                .iter()
                .map(|entity| format!("{}/{}", entity.what, entity.version.unwrap_or_default()))
                .collect();
            // The second version of the subscription is the one whose status is active.
            assert_eq!(named, ["Subscription/s/2".to_owned(), format!("Observation/{}/1", number + 1)]);
            assert_eq!(record.patients, ["Patient/a"]);
            assert!(record.position.is_some());
        }
    });
}

#[test]
fn a_notification_of_a_topic_is_one_record_and_one_that_is_sent_again_another() {
    audited(|server, receiver| async move {
        subscribe(&server, &of_topic(&receiver, "full-resource")).await;
        wait_for_status(&server, "active").await;
        assert!(sent(&server).await.is_empty(), "a handshake tells nothing of anybody");
        receiver.is_now(Mood::Refuses);
        put(&server, "1", "final", 1).await;
        eventually("it was refused twice", async || receiver.asked().len() >= 3).await;
        receiver.is_now(Mood::Takes);
        eventually("it is told", async || receiver.taken().len() >= 2).await;
        let (sent, asked) = (sent(&server).await, receiver.asked().len());
        // The handshake was asked too.
        assert!(sent.len() >= asked - 1 && sent.len() >= 3, "{} of {asked}", sent.len());
        assert!(sent.iter().all(|record| record.patients == ["Patient/a"]), "{sent:?}");
    });
}

#[test]
fn what_cannot_be_put_on_record_is_not_sent() {
    audited(|server, receiver| async move {
        subscribe(&server, &rest_hook(&receiver)).await;
        wait_for_status(&server, "active").await;
        let beside = server.beside().await;
        server.audit.as_ref().unwrap().close().await;
        put(&beside, "1", "final", 1).await;
        let (client, connection) =
            tokio_postgres::connect(&server.database, tokio_postgres::NoTls).await.unwrap();
        let _connection = tokio::spawn(connection);
        let failed = async || {
            let statement = "SELECT count(*) FROM anamnesis.subscription WHERE reason LIKE '%could not be put on record%'";
            client.query_one(statement, &[]).await.unwrap().get::<_, i64>(0) == 1
        };
        eventually("it has failed", failed).await;
        assert!(receiver.asked().is_empty());
        beside.stop().await;
    });
}
