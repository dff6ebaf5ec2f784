//! What is owed although something has gone meanwhile: a version, the version before, a topic, the permission to send.

use std::sync::Arc;

use anamnesis::decide::{Rules, Versioning};
use anamnesis::subscriptions::{Allow, Subscribing, SubscriptionOptions, Subscriptions};
use serde_json::json;

use super::receiver::{Hook, Mood, Receiver};
use super::{
    TOPIC, kind, of_topic, options, put, rest_hook, status, subscribe, test, wait_for_status, wait_until_told,
};
use crate::support::{Server, Setup, eventually, runtime, test_with};

/// Another server with these options takes over.
async fn take_over(server: &Server, options: SubscriptionOptions) -> Subscriptions {
    server.subscriptions.as_ref().unwrap().stop().await;
    let subscribing = Subscribing::new(server.log.number(), "http://there/fhir", options).unwrap();
    Subscriptions::start(&server.database, &server.log, &server.compartments, subscribing).unwrap()
}

#[test]
fn a_version_that_was_erased_before_its_turn_is_passed_over() {
    test(
        |_| {},
        |server, receiver| async move {
            subscribe(&server, &rest_hook(&receiver)).await;
            wait_for_status(&server, "active").await;
            receiver.is_now(Mood::Refuses);
            for id in ["first", "erased", "last"] {
                put(&server, id, "final", 1).await;
            }
            eventually("it was tried", async || receiver.asked().len() > 1).await;
            let erased = server.delete("/Observation/erased?hardDelete=true").await;
            assert!(erased.status.is_success(), "{}", erased.text());
            receiver.is_now(Mood::Takes);
            eventually("two are told", async || receiver.taken().len() >= 2).await;
            let taken = receiver.taken();
            let lines: Vec<&str> = taken.iter().map(|hook| hook.line.as_str()).collect();
            assert_eq!(lines, ["PUT /hook/Observation/first", "PUT /hook/Observation/last"]);
        },
    );
}

/// A type without versions keeps no version before: nobody can tell whether it was final.
#[test]
fn a_version_before_that_is_gone_stands_in_nobody_s_way() {
    let receiver = Arc::new(runtime().block_on(Receiver::start()));
    let rules = Rules {
        versioning_of: [("Observation".to_owned(), Versioning::NoVersion)].into(),
        ..Rules::default()
    };
    let setup = Setup { rules, subscriptions: Some(options(&receiver)), ..Setup::default() };
    test_with(setup, |server| async move {
        subscribe(&server, &of_topic(&receiver, "id-only")).await;
        wait_for_status(&server, "active").await;
        put(&server, "1", "preliminary", 1).await;
        put(&server, "1", "final", 2).await;
        eventually("it is told", async || receiver.taken().len() >= 2).await;
        let told = receiver.taken()[1].json();
        assert_eq!(kind(&told), "event-notification");
        assert!(told["entry"][1]["fullUrl"].as_str().unwrap().ends_with("/Observation/1"), "{told}");
    });
}

#[test]
fn without_its_topic_a_subscription_is_in_error() {
    test(
        |_| {},
        |server, receiver| async move {
            subscribe(&server, &of_topic(&receiver, "id-only")).await;
            wait_for_status(&server, "active").await;
            let mut without = options(&receiver);
            without.topics.clear();
            let other = take_over(&server, without).await;
            wait_for_status(&server, "error").await;
            let said = server.get("/Subscription/s").await.json();
            let reason = "Subscription.criteria: this server has no topic with this canonical address";
            assert_eq!(said["error"], reason);
            let state = server.get("/Subscription/s/$status").await.text();
            assert!(state.contains(reason) && state.contains(TOPIC), "{state}");
            other.stop().await;
        },
    );
}

#[test]
fn what_may_not_be_sent_for_a_time_is_sent_when_it_may() {
    test(
        |_| {},
        |server, receiver| async move {
            subscribe(&server, &rest_hook(&receiver)).await;
            wait_for_status(&server, "active").await;
            let forbidding = SubscriptionOptions { allow: Allow::default(), ..options(&receiver) };
            let other = take_over(&server, forbidding).await;
            put(&server, "1", "final", 1).await;
            let state = async || server.get("/Subscription/s/$status").await.text();
            eventually("it is told why not", async || state().await.contains("does not allow")).await;
            assert_eq!((status(&server).await.as_str(), receiver.asked().len()), ("active", 0));
            other.stop().await;
            let third = take_over(&server, options(&receiver)).await;
            put(&server, "2", "final", 1).await;
            wait_until_told(&server, &receiver).await;
            third.stop().await;
        },
    );
}

#[test]
fn a_late_answer_to_an_earlier_version_activates_nothing() {
    test(
        |options| options.timeout = std::time::Duration::from_secs(60),
        |server, receiver| async move {
            receiver.is_now(Mood::Waits);
            subscribe(&server, &of_topic(&receiver, "id-only")).await;
            eventually("a handshake has come", async || receiver.asked().len() == 1).await;
            receiver.is_now(Mood::Refuses);
            let mut again = of_topic(&receiver, "id-only");
            again["reason"] = json!("another receiver");
            subscribe(&server, &again).await;
            // What comes behind it is counted, so that it has been read itself.
            put(&server, "1", "final", 1).await;
            let state = async || server.get("/Subscription/s/$status").await.text();
            eventually("it was read", async || state().await.contains(r#""valueString":"1""#)).await;
            receiver.go_on();
            let refused = |hook: &Hook| hook.mood == Mood::Refuses;
            eventually("the new one is asked", async || receiver.asked().iter().any(refused)).await;
            assert_eq!(status(&server).await, "requested");
        },
    );
}

/// A value may have a question mark.
#[test]
fn a_filter_is_cut_behind_the_type_alone() {
    test(
        |options| {
            let topic = options.topics.get_mut(TOPIC).unwrap();
            topic.filters = vec!["subject".to_owned(), "code".to_owned()];
        },
        |server, receiver| async move {
            let mut subscription = of_topic(&receiver, "id-only");
            let filter = |text: &str| json!(text);
            for (bad, what) in [
                ("Patient?name=x", "another type"),
                ("Patient?code=x", "another type"),
                ("status=final", "no filter of the topic"),
                ("Observation?status=final", "no filter of the topic"),
            ] {
                subscription["_criteria"]["extension"][0]["valueString"] = filter(bad);
                let answer = server.put("/Subscription/s", subscription.to_string()).await;
                assert_eq!(answer.status, 422, "{what}: {}", answer.text());
            }
            subscription["_criteria"]["extension"][0]["valueString"] =
                filter("code=http://example.org/a?b|x");
            subscribe(&server, &subscription).await;
            wait_for_status(&server, "active").await;
            for (id, system) in [("1", "http://example.org/a"), ("2", "http://example.org/a?b")] {
                let body = json!({"resourceType": "Observation", "id": id, "status": "final",
                    "code": {"coding": [{"system": system, "code": "x"}]}});
                assert_eq!(server.put(&format!("/Observation/{id}"), body.to_string()).await.status, 201);
            }
            eventually("one is told", async || receiver.taken().len() >= 2).await;
            let told = receiver.taken()[1].json();
            assert!(told["entry"][1]["fullUrl"].as_str().unwrap().ends_with("/Observation/2"), "{told}");
        },
    );
}

/// What is written together with a subscription is compared with the versions before, as what comes later is.
#[test]
fn what_is_written_with_a_subscription_is_told_by_the_version_before() {
    test(
        |_| {},
        |server, receiver| async move {
            let observation = |id: &str, status: &str, text: &str| {
                json!({"resourceType": "Observation", "id": id, "status": status, "code": {"text": text},
                    "subject": {"reference": "Patient/a"}})
            };
            for (id, status) in [("was-final", "final"), ("was-not", "preliminary")] {
                let answer =
                    server.put(&format!("/Observation/{id}"), observation(id, status, "x").to_string()).await;
                assert_eq!(answer.status, 201, "{}", answer.text());
            }
            let entry = |resource: serde_json::Value, url: &str| json!({"resource": resource, "request": {"method": "PUT", "url": url}});
            let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
                entry(of_topic(&receiver, "id-only"), "Subscription/s"),
                entry(observation("was-final", "final", "y"), "Observation/was-final"),
                entry(observation("was-not", "final", "y"), "Observation/was-not"),
            ]});
            let answer = server.post("", bundle.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            eventually("it is told", async || receiver.taken().len() >= 2).await;
            let told = receiver.taken()[1].json();
            assert_eq!(kind(&told), "event-notification");
            let told = told.to_string();
            assert!(
                told.contains("/Observation/was-not") && !told.contains("/Observation/was-final"),
                "{told}"
            );
        },
    );
}
