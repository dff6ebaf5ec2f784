//! Subscriptions: R4 rest-hooks and the backport's topics, with real receivers.

mod custom;
mod gone;
mod on_record;
mod receiver;

use std::collections::BTreeMap;
use std::time::Duration;

use anamnesis::subscriptions::{Allow, Subscribing, SubscriptionOptions, Subscriptions, TopicRule};
use anamnesis_events::{Operation, Position};
use serde_json::{Value, json};

use crate::support::{Server, Setup, eventually, test_with};
use receiver::{Hook, Mood, Receiver};

const TOPIC: &str = "http://example.org/topics/final-results";
const PROFILES: &str = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/";

fn options(receiver: &Receiver) -> SubscriptionOptions {
    let topic = TopicRule {
        resource: "Observation".to_owned(),
        on: vec![Operation::Create, Operation::Update],
        previous: Some("status:not=final".to_owned()),
        current: Some("status=final".to_owned()),
        filters: vec!["subject".to_owned()],
    };
    SubscriptionOptions {
        allow: Allow::new(std::slice::from_ref(&receiver.url)).unwrap(),
        topics: BTreeMap::from([(TOPIC.to_owned(), topic)]),
        timeout: Duration::from_secs(2),
        retry_min: Duration::from_millis(20),
        retry_max: Duration::from_millis(100),
        ..SubscriptionOptions::default()
    }
}

/// Runs a test against a server and a receiver.
fn test<F, T>(change: impl FnOnce(&mut SubscriptionOptions), body: F)
where
    F: FnOnce(std::sync::Arc<Server>, std::sync::Arc<Receiver>) -> T,
    T: Future<Output = ()>,
{
    let receiver = std::sync::Arc::new(crate::support::runtime().block_on(Receiver::start()));
    let mut options = options(&receiver);
    change(&mut options);
    let setup = Setup { subscriptions: Some(options), ..Setup::default() };
    test_with(setup, |server| body(server, receiver));
}

fn rest_hook(receiver: &Receiver) -> Value {
    json!({"resourceType": "Subscription", "id": "s", "status": "requested", "reason": "test",
        "criteria": "Observation?status=final&code:not=http://example.org/|y",
        "channel": {"type": "rest-hook", "endpoint": receiver.url, "payload": "application/fhir+json",
            "header": ["Authorization: Bearer secret"]}})
}

fn of_topic(receiver: &Receiver, content: &str) -> Value {
    let extension = |name: &str, value: Value| {
        let mut extension = json!({"url": format!("{PROFILES}{name}")});
        extension.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        json!({"extension": [extension]})
    };
    let mut subscription = rest_hook(receiver);
    subscription["meta"] = json!({"profile": [format!("{PROFILES}backport-subscription")]});
    subscription["criteria"] = json!(TOPIC);
    subscription["_criteria"] =
        extension("backport-filter-criteria", json!({"valueString": "Observation?subject=Patient/a"}));
    subscription["channel"]["_payload"] =
        extension("backport-payload-content", json!({"valueCode": content}));
    subscription
}

async fn subscribe(server: &Server, subscription: &Value) {
    let answer = server.put("/Subscription/s", subscription.to_string()).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

async fn status(server: &Server) -> String {
    server.get("/Subscription/s").await.json()["status"].as_str().unwrap().to_owned()
}

async fn wait_for_status(server: &Server, wanted: &str) {
    eventually(&format!("the status is {wanted}"), async || status(server).await == wanted).await;
}

fn observation(id: &str, subject: &str, status: &str, number: u32) -> String {
    json!({"resourceType": "Observation", "id": id, "status": status, "code": {"text": "x"},
        "subject": {"reference": subject}, "valueInteger": number})
    .to_string()
}

async fn put(server: &Server, id: &str, status: &str, number: u32) {
    let body = observation(id, "Patient/a", status, number);
    let answer = server.put(&format!("/Observation/{id}"), body).await;
    assert!(answer.status.is_success(), "{}", answer.text());
}

/// What the log says that a receiver has to be told of: `id/version`, in order.
async fn owed(server: &Server) -> Vec<String> {
    let events = server.log.read(Position::ZERO, 10_000).await.unwrap();
    let wanted = events.iter().filter(|event| {
        let body: Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        &*event.key.resource_type == "Observation" && body["status"] == "final"
    });
    wanted.map(|event| format!("{}/{}", event.key.id, event.version)).collect()
}

/// What was taken, each for the first time.
fn once(hooks: &[Hook]) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    hooks.iter().map(Hook::version).filter(|version| seen.insert(version.clone())).collect()
}

async fn wait_until_told(server: &Server, receiver: &Receiver) {
    let owed = owed(server).await;
    eventually("everything is told", async || once(&receiver.taken()).len() >= owed.len()).await;
    assert_eq!(once(&receiver.taken()), owed);
}

#[test]
fn a_rest_hook_is_told_of_what_comes_to_match() {
    test(
        |_| {},
        |server, receiver| async move {
            put(&server, "before", "final", 0).await;
            subscribe(&server, &rest_hook(&receiver)).await;
            // What is written before the status is active is not lost either.
            put(&server, "1", "final", 1).await;
            wait_for_status(&server, "active").await;
            put(&server, "2", "preliminary", 1).await;
            put(&server, "2", "final", 2).await;
            put(&server, "1", "amended", 3).await;
            server.delete("/Observation/2").await;
            put(&server, "3", "final", 4).await;
            eventually("three are told", async || receiver.taken().len() >= 3).await;
            let taken = receiver.taken();
            let lines: Vec<&str> = taken.iter().map(|hook| hook.line.as_str()).collect();
            assert_eq!(
                lines,
                ["PUT /hook/Observation/1", "PUT /hook/Observation/2", "PUT /hook/Observation/3"]
            );
            assert_eq!(taken.iter().map(Hook::version).collect::<Vec<_>>(), ["1/1", "2/2", "3/1"]);
            let headers = taken[0].headers.to_ascii_lowercase();
            assert!(headers.contains("authorization: bearer secret"), "{headers}");
            assert!(headers.contains("content-type: application/fhir+json"), "{headers}");
            let recorded = server.get("/Observation/3").await;
            assert_eq!(taken[2].body, recorded.bytes);
        },
    );
}

#[test]
fn without_a_payload_the_endpoint_is_only_called() {
    test(
        |_| {},
        |server, receiver| async move {
            let mut subscription = rest_hook(&receiver);
            subscription["channel"].as_object_mut().unwrap().remove("payload");
            subscribe(&server, &subscription).await;
            put(&server, "1", "final", 1).await;
            eventually("it is told", async || !receiver.taken().is_empty()).await;
            let hook = receiver.taken().remove(0);
            assert_eq!((hook.line.as_str(), hook.body.len()), ("POST /hook", 0));
        },
    );
}

/// hapi#6002: a subscription gave up after a minute and lost events.
#[test]
fn a_receiver_that_comes_back_gets_everything_in_order() {
    test(
        |_| {},
        |server, receiver| async move {
            subscribe(&server, &rest_hook(&receiver)).await;
            wait_for_status(&server, "active").await;
            receiver.is_now(Mood::Refuses);
            for number in 0..30 {
                put(&server, &format!("o{}", number % 7), "final", number).await;
            }
            eventually("it was tried several times", async || receiver.asked().len() > 4).await;
            let tried: Vec<String> = receiver.asked().iter().map(Hook::version).collect();
            assert!(
                tried.iter().all(|version| version == "o0/1"),
                "what is next waits for what is first: {tried:?}"
            );
            receiver.is_now(Mood::Hangs);
            let before = receiver.asked().len();
            eventually("it was tried in vain", async || receiver.asked().len() > before).await;
            receiver.is_now(Mood::Takes);
            wait_until_told(&server, &receiver).await;
            assert_eq!(receiver.taken().len(), 30, "nothing is told twice where nobody died");
            assert_eq!(status(&server).await, "active");
        },
    );
}

#[test]
fn after_giving_up_the_status_says_so_and_asking_again_goes_on() {
    let give_up = |options: &mut SubscriptionOptions| options.give_up_after = Duration::from_millis(200);
    test(give_up, |server, receiver| async move {
        subscribe(&server, &rest_hook(&receiver)).await;
        wait_for_status(&server, "active").await;
        receiver.is_now(Mood::Refuses);
        put(&server, "1", "final", 1).await;
        wait_for_status(&server, "error").await;
        let said = server.get("/Subscription/s").await.json();
        assert_eq!(said["error"], "the receiver answered with status 503");
        let asked = receiver.asked().len();
        put(&server, "2", "final", 2).await;
        receiver.is_now(Mood::Takes);
        let state = server.get("/Subscription/s/$status").await;
        assert!(state.text().contains("503"), "{}", state.text());
        assert_eq!(receiver.asked().len(), asked, "nothing is tried any more");
        subscribe(&server, &rest_hook(&receiver)).await;
        wait_until_told(&server, &receiver).await;
        wait_for_status(&server, "active").await;
        assert!(server.get("/Subscription/s").await.json().get("error").is_none());
    });
}

/// LinuxForHealth#3071 told of writes before they were committed.
#[test]
fn what_is_told_can_be_read() {
    test(
        |_| {},
        |server, receiver| async move {
            subscribe(&server, &rest_hook(&receiver)).await;
            wait_for_status(&server, "active").await;
            let entry = |id: &str, status: &str| {
                let resource: Value = serde_json::from_str(&observation(id, "Patient/a", status, 1)).unwrap();
                json!({"resource": resource, "request": {"method": "PUT", "url": format!("Observation/{id}")}})
            };
            let mut entries = vec![entry("1", "final"), entry("2", "final")];
            let bundle = |entries: &[Value]| {
                json!({"resourceType": "Bundle", "type": "transaction", "entry": entries}).to_string()
            };
            assert_eq!(server.post("", bundle(&entries)).await.status, 200);
            // A transaction that fails at its last entry tells nobody anything.
            entries.push(json!({"request": {"method": "DELETE", "url": "Observation?identifier="}}));
            assert!(server.post("", bundle(&entries)).await.status.is_client_error());
            put(&server, "3", "final", 1).await;
            wait_until_told(&server, &receiver).await;
            for hook in receiver.taken() {
                let version = hook.version();
                let (id, version) = version.split_once('/').unwrap();
                let read = server.get(&format!("/Observation/{id}/_history/{version}")).await;
                assert_eq!(read.bytes, hook.body);
            }
        },
    );
}

fn parameter<'v>(status: &'v Value, name: &str) -> &'v Value {
    let all = status["parameter"].as_array().unwrap();
    all.iter().find(|parameter| parameter["name"] == name).unwrap_or(&Value::Null)
}

/// The kind and the statuses of the notification Bundle.
fn kind(bundle: &Value) -> String {
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&json!("Bundle"), &json!("history")), "{bundle}");
    let status = &bundle["entry"][0]["resource"];
    assert_eq!(status["resourceType"], "Parameters", "{bundle}");
    assert_eq!(parameter(status, "topic")["valueCanonical"], TOPIC);
    parameter(status, "type")["valueCode"].as_str().unwrap().to_owned()
}

#[test]
fn a_topic_is_told_with_a_handshake_and_numbered_events() {
    test(
        |_| {},
        |server, receiver| async move {
            receiver.is_now(Mood::Refuses);
            subscribe(&server, &of_topic(&receiver, "id-only")).await;
            eventually("a handshake was tried", async || receiver.asked().len() > 1).await;
            assert_eq!(status(&server).await, "requested");
            put(&server, "1", "preliminary", 1).await;
            put(&server, "1", "final", 2).await;
            put(&server, "1", "final", 3).await;
            server.put("/Observation/b", observation("b", "Patient/b", "final", 1)).await;
            receiver.is_now(Mood::Takes);
            wait_for_status(&server, "active").await;
            put(&server, "2", "final", 1).await;
            eventually("two events are told", async || receiver.taken().len() >= 2).await;
            let told = |hooks: &[Hook]| {
                let numbers = |hook: &Hook| {
                    parameter(&hook.json()["entry"][0]["resource"], "events-since-subscription-start")["valueString"].clone()
                };
                hooks.last().map(numbers)
            };
            eventually("the last one is told", async || told(&receiver.taken()) == Some(json!("2"))).await;
            let taken = receiver.taken();
            assert_eq!(kind(&taken[0].json()), "handshake");
            let mut focuses = Vec::new();
            for hook in &taken[1..] {
                let bundle = hook.json();
                assert_eq!(kind(&bundle), "event-notification");
                for entry in bundle["entry"].as_array().unwrap().iter().skip(1) {
                    assert!(entry.get("resource").is_none(), "{bundle}");
                    assert_eq!(entry["request"]["method"], "PUT", "as its history has it: {bundle}");
                    focuses.push(entry["fullUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned());
                }
            }
            assert_eq!(focuses, ["1", "2"], "one of them was final before, one is another patient's");
        },
    );
}

#[test]
fn status_and_events_can_be_asked_for() {
    test(
        |_| {},
        |server, receiver| async move {
            subscribe(&server, &of_topic(&receiver, "full-resource")).await;
            wait_for_status(&server, "active").await;
            for id in ["1", "2", "3"] {
                put(&server, id, "final", 1).await;
            }
            let count = async || {
                let bundle = server.get("/Subscription/s/$status").await.json();
                let status = bundle["entry"][0]["resource"].clone();
                assert_eq!(parameter(&status, "type")["valueCode"], "query-status");
                assert_eq!(parameter(&status, "status")["valueCode"], "active");
                parameter(&status, "events-since-subscription-start")["valueString"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            };
            eventually("all are matched", async || count().await == "3").await;
            let all = server.get("/Subscription/$status?id=s&status=active").await.json();
            assert_eq!(all["entry"].as_array().unwrap().len(), 1);
            let events =
                server.get("/Subscription/s/$events?eventsSinceNumber=2&eventsUntilNumber=3").await.json();
            assert_eq!(kind(&events), "query-event");
            let ids: Vec<&str> = events["entry"]
                .as_array()
                .unwrap()
                .iter()
                .skip(1)
                .map(|entry| entry["resource"]["id"].as_str().unwrap())
                .collect();
            assert_eq!(ids, ["2", "3"]);
            let empty = server.get("/Subscription/s/$events?content=empty").await.json();
            assert_eq!(empty["entry"].as_array().unwrap().len(), 1);
            assert_eq!(server.get("/Subscription/s/$events?eventsSinceNumber=x").await.status, 400);
            assert_eq!(server.get("/Subscription/none/$status").await.status, 404);
        },
    );
}

#[test]
fn what_cannot_be_served_is_refused_and_not_written() {
    test(
        |_| {},
        |server, receiver| async move {
            let with = |path: &[&str], value: Value| {
                let mut subscription = rest_hook(&receiver);
                let place = path.iter().fold(&mut subscription, |place, name| &mut place[*name]);
                *place = value;
                subscription
            };
            let endpoint = |url: &str| with(&["channel", "endpoint"], json!(url));
            let bad = [
                with(&["criteria"], json!("Observation?status=final&nonsense=1")),
                with(&["criteria"], json!("Observation?date=yesterday")),
                with(&["criteria"], json!("Nothing?x=1")),
                with(&["criteria"], json!("Observation?subject.name=x")),
                with(&["criteria"], json!("Observation?_include=Observation:subject")),
                with(&["criteria"], json!("Observation?code=x&_contained=true")),
                with(&["criteria"], json!("Observation?_contained=both&_containedType=contained")),
                with(&["criteria"], json!("Observation?code=x&_contained=false")),
                with(&["criteria"], json!("http://example.org/topics/unknown")),
                with(&["channel", "type"], json!("email")),
                with(&["channel", "type"], json!("websocket")),
                with(&["channel", "payload"], json!("application/fhir+xml")),
                with(&["channel", "header"], json!(["no header"])),
                with(&["channel", "header"], json!(["Host: elsewhere"])),
                endpoint("http://169.254.169.254/latest/meta-data"),
                endpoint("http://127.0.0.1:1/hook"),
                endpoint("file:///etc/passwd"),
                endpoint("hook"),
            ];
            let before = server.events().await;
            for subscription in bad {
                let answer = server.put("/Subscription/s", subscription.to_string()).await;
                assert_eq!(answer.status, 422, "{subscription}: {}", answer.text());
                assert!(!answer.text().contains("secret"), "{}", answer.text());
                let posted = server.post("/Subscription", subscription.to_string()).await;
                assert_eq!(posted.status, 422);
                let entry =
                    json!({"resource": subscription, "request": {"method": "POST", "url": "Subscription"}});
                let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
                assert!(server.post("", bundle.to_string()).await.status.is_client_error());
            }
            assert_eq!(server.events().await, before);
            let contained = with(&["criteria"], json!("Observation?code=x&_contained=true"));
            let said = server.put("/Subscription/s", contained.to_string()).await;
            assert!(said.text().contains("_contained says how a search is answered"), "{}", said.text());
            assert!(said.text().contains("Subscription.criteria"), "{}", said.text());
            // What is off is kept as it is.
            let off = with(&["status"], json!("off"));
            assert_eq!(server.put("/Subscription/s", off.to_string()).await.status, 201);
        },
    );
}

#[test]
fn two_servers_tell_once_and_one_takes_over() {
    test(
        |_| {},
        |server, receiver| async move {
            subscribe(&server, &rest_hook(&receiver)).await;
            wait_for_status(&server, "active").await;
            let subscribing =
                Subscribing::new(server.log.number(), "http://there/fhir", options(&receiver)).unwrap();
            let other =
                Subscriptions::start(&server.database, &server.log, &server.compartments, subscribing)
                    .unwrap();
            for number in 0..10 {
                put(&server, &format!("a{number}"), "final", number).await;
            }
            wait_until_told(&server, &receiver).await;
            assert_eq!(receiver.taken().len(), 10);
            for number in 0..40 {
                put(&server, &format!("b{number}"), "final", number).await;
                if number == 20 {
                    server.subscriptions.as_ref().unwrap().stop().await;
                }
            }
            wait_until_told(&server, &receiver).await;
            // One delivery may have been under way when the first one stopped.
            let repeated = receiver.taken().len() - 50;
            assert!(repeated <= 20, "{repeated} were told twice");
            other.stop().await;
        },
    );
}
