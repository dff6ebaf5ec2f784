//! Criteria that name search parameters of clients, and what becomes of them when those go.

use anamnesis::subscriptions::{Subscribing, Subscriptions, TopicRule};
use anamnesis_events::Operation;
use serde_json::{Value, json};

use super::receiver::Receiver;
use super::{TOPIC, of_topic, options, rest_hook, status, subscribe, test, wait_for_status};
use crate::reindex::{reindexed, store};
use crate::support::{Server, eventually};

const NICKNAME: &str = "http://example.org/nickname";

fn by_nickname(receiver: &Receiver) -> Value {
    let mut subscription = rest_hook(receiver);
    subscription["criteria"] = json!("Patient?nickname=pet");
    subscription
}

async fn patient(server: &Server, id: &str, given: &str) {
    let body = json!({"resourceType": "Patient", "id": id, "name": [{"use": "nickname", "given": [given]}]});
    let answer = server.put(&format!("/Patient/{id}"), body.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

/// The ids that the receiver was told of, when the last one was.
async fn told(receiver: &Receiver, last: &str) -> Vec<String> {
    let ids = || -> Vec<String> {
        let taken = receiver.taken();
        taken.iter().map(|hook| hook.json()["id"].as_str().unwrap().to_owned()).collect()
    };
    eventually(&format!("{last} is told"), async || ids().iter().any(|id| id == last)).await;
    ids()
}

async fn refused(server: &Server, subscription: &Value) -> String {
    let answer = server.put("/Subscription/s", subscription.to_string()).await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    assert_eq!(answer.json()["issue"][0]["expression"][0], "Subscription.criteria");
    answer.text()
}

async fn switch(server: &Server, word: &str) {
    let part =
        [json!({"name": "url", "valueString": NICKNAME}), json!({"name": "status", "valueString": word})];
    let body = json!({"resourceType": "Parameters",
        "parameter": [{"name": "searchParameterStatus", "part": part}]});
    let answer = server.put("/SearchParameter/$status", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Another server takes over.
async fn take_over(server: &Server, receiver: &Receiver) -> Subscriptions {
    server.subscriptions.as_ref().unwrap().stop().await;
    let subscribing = Subscribing::new(server.log.number(), "http://there/fhir", options(receiver)).unwrap();
    Subscriptions::start(&server.database, &server.log, &server.compartments, subscribing).unwrap()
}

#[test]
fn a_parameter_that_is_enabled_can_be_asked_for_and_no_other() {
    test(
        |_| {},
        |server, receiver| async move {
            let subscription = by_nickname(&receiver);
            refused(&server, &subscription).await;
            store(&server, "nickname", json!({})).await;
            refused(&server, &subscription).await;
            reindexed(&server).await;
            subscribe(&server, &subscription).await;
            for (id, given) in [("1", "Pete"), ("2", "Anna"), ("3", "Petra")] {
                patient(&server, id, given).await;
            }
            assert_eq!(told(&receiver, "3").await, ["1", "3"]);
            // Changed, and the index has it as it was.
            let changes = json!({"expression": "Patient.name.where(use = 'official').given"});
            store(&server, "nickname", changes).await;
            let mut other = subscription.clone();
            other["criteria"] = json!("Patient?nickname=ann");
            refused(&server, &other).await;
            reindexed(&server).await;
            subscribe(&server, &other).await;
            switch(&server, "disabled").await;
            other["criteria"] = json!("Patient?nickname=ben");
            refused(&server, &other).await;
        },
    );
}

#[test]
fn what_a_parameter_meant_is_kept_whatever_becomes_of_it() {
    test(
        |_| {},
        |server, receiver| async move {
            store(&server, "nickname", json!({})).await;
            reindexed(&server).await;
            subscribe(&server, &by_nickname(&receiver)).await;
            wait_for_status(&server, "active").await;
            switch(&server, "disabled").await;
            patient(&server, "off", "Pete").await;
            told(&receiver, "off").await;
            let changes = json!({"expression": "Patient.name.where(use = 'official').given"});
            store(&server, "nickname", changes).await;
            patient(&server, "changed", "Pete").await;
            told(&receiver, "changed").await;
            server.delete("/SearchParameter/nickname").await;
            patient(&server, "deleted", "Pete").await;
            told(&receiver, "deleted").await;
            // Another server reads the same from the log.
            let other = take_over(&server, &receiver).await;
            patient(&server, "elsewhere", "Pete").await;
            patient(&server, "nobody", "Anna").await;
            patient(&server, "last", "Petra").await;
            let all = told(&receiver, "last").await;
            assert_eq!(all, ["off", "changed", "deleted", "elsewhere", "last"]);
            assert_eq!(status(&server).await, "active");
            refused(&server, &{
                let mut again = by_nickname(&receiver);
                again["reason"] = json!("written anew");
                again
            })
            .await;
            other.stop().await;
        },
    );
}

#[test]
fn where_the_meaning_was_erased_the_status_says_so() {
    test(
        |_| {},
        |server, receiver| async move {
            store(&server, "nickname", json!({})).await;
            reindexed(&server).await;
            subscribe(&server, &by_nickname(&receiver)).await;
            wait_for_status(&server, "active").await;
            let erased = server.delete("/SearchParameter/nickname?hardDelete=true").await;
            assert!(erased.status.is_success(), "{}", erased.text());
            wait_for_status(&server, "error").await;
            let said = server.get("/Subscription/s").await.json();
            assert!(said["error"].as_str().unwrap().starts_with("Subscription.criteria: "), "{said}");
            let state = server.get("/Subscription/s/$status").await.text();
            assert!(state.contains("Subscription.criteria: "), "{state}");
        },
    );
}

#[test]
fn a_topic_can_be_filtered_by_a_parameter_of_clients() {
    let of_patients = |options: &mut anamnesis::subscriptions::SubscriptionOptions| {
        let topic = TopicRule {
            resource: "Patient".to_owned(),
            on: vec![Operation::Create],
            filters: vec!["nickname".to_owned()],
            ..TopicRule::default()
        };
        options.topics = [(TOPIC.to_owned(), topic)].into();
    };
    test(of_patients, |server, receiver| async move {
        store(&server, "nickname", json!({})).await;
        let mut subscription = of_topic(&receiver, "id-only");
        subscription["_criteria"]["extension"][0]["valueString"] = json!("Patient?nickname=pet");
        let early = server.put("/Subscription/s", subscription.to_string()).await;
        assert_eq!(early.status, 422, "{}", early.text());
        reindexed(&server).await;
        subscribe(&server, &subscription).await;
        wait_for_status(&server, "active").await;
        for (id, given) in [("1", "Anna"), ("2", "Pete")] {
            patient(&server, id, given).await;
        }
        eventually("one is told", async || receiver.taken().len() >= 2).await;
        let told = receiver.taken()[1].json();
        assert!(told["entry"][1]["fullUrl"].as_str().unwrap().ends_with("/Patient/2"), "{told}");
    });
}
