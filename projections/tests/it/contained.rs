//! Contained resources: searched by `_contained`, shown alone or as their containers, and never met by other searches.

mod model;
mod rows;

use anamnesis_projections::search::{SearchLimits, SearchMatch};
use serde_json::{Value, json};

use crate::world::{World, expect};

fn medication(id: &str, code: &str, status: &str) -> Value {
    json!({"resourceType": "Medication", "id": id, "status": status,
        "code": {"coding": [{"system": "http://m", "code": code}], "text": format!("text of {code}")},
        "manufacturer": {"reference": "Organization/maker"}})
}

fn request(id: &str, patient: &str, contained: &[Value]) -> Value {
    json!({"resourceType": "MedicationRequest", "id": id, "status": "active", "intent": "order",
        "subject": {"reference": format!("Patient/{patient}")}, "contained": contained,
        "medicationReference": {"reference": "#m1"}})
}

/// What was found, with the contained resource where that is shown.
fn name(found: &SearchMatch) -> String {
    let container = format!("{}/{}", found.resource_type, found.id);
    found.contained.as_ref().map_or(container.clone(), |contained| format!("{container}#{}", contained.id))
}

/// Two requests with contained medications, one medication that stands for itself, and an observation in another.
async fn some(world: &World) {
    world
        .put([
            json!({"resourceType": "Organization", "id": "maker", "name": "Makers"}),
            json!({"resourceType": "Patient", "id": "1", "name": [{"family": "Chalmers"}],
            "contained": [{"resourceType": "Organization", "id": "o1", "name": "Inner"}]}),
            medication("m1", "a", "active"),
            request("r1", "1", &[medication("m1", "a", "active"), medication("m2", "b", "inactive")]),
            request("r2", "2", &[medication("m1", "b", "active")]),
            json!({"resourceType": "Observation", "id": "whole", "status": "final", "code": {"text": "whole"},
            "subject": {"reference": "Patient/1"}, "contained": [
                {"resourceType": "Observation", "id": "part", "status": "final", "code": {"text": "part"},
                    "subject": {"reference": "Patient/2"}}]}),
        ])
        .await;
}

#[tokio::test]
async fn contained_resources_are_found_where_they_are_asked_for() {
    let world = World::new().await;
    some(&world).await;
    let table = [
        ("Medication?code=a", "m1"),
        ("Medication?code=b", ""),
        ("Medication?code=b&_contained=false", ""),
        ("Medication?code=b&_contained=true", "r1 r2"),
        ("Medication?code=a&_contained=true", "r1"),
        ("Medication?code=a&_contained=both", "m1 r1"),
        ("Medication?_contained=true&_containedType=container", "r1 r2"),
        // Two contained resources together answer nothing that neither of them answers.
        ("Medication?code=a&status=inactive&_contained=true", ""),
        ("Medication?code=b&status=inactive&_contained=true", "r1"),
        ("Medication?status:not=active&_contained=true", "r1"),
        ("Medication?code:text=text&_contained=true", "r1 r2"),
        ("Medication?_id=m2&_contained=true", "r1"),
        ("Medication?_id=r1&_contained=true", ""),
        ("Medication?manufacturer=Organization/maker&code=a&_contained=true", "r1"),
        ("Medication?manufacturer.name=makers&_contained=true", "r1 r2"),
        ("Medication?manufacturer.name=inner&_contained=true", ""),
        ("Medication?_filter=code eq b and status eq active&_contained=true", "r2"),
        ("?_type=Medication,Organization&_contained=true", "1 r1 r2"),
        ("Organization?name=inner&_contained=true", "1"),
        ("Organization?name=makers&_contained=true", ""),
        ("Observation?subject=Patient/1&_contained=true", ""),
        ("Observation?subject=Patient/2&_contained=true", "whole"),
        ("Observation?_contained=both", "whole"),
        ("MedicationRequest?_contained=true", ""),
    ];
    expect(&world, &table).await;
    let shown = [
        ("Medication?_contained=true", "r2#m1 r1#m2 r1#m1"),
        ("Medication?_contained=true&_sort=_lastUpdated", "r1#m1 r1#m2 r2#m1"),
        ("Medication?_contained=true&_sort=-_id", "r1#m2 r2#m1 r1#m1"),
        ("Medication?_contained=both&code=a", "r1#m1 m1"),
        ("Observation?_contained=both", "whole#part whole"),
    ];
    for (query, expected) in shown {
        let page = world.search(&format!("{query}&_containedType=contained&_total=accurate")).await;
        let names: Vec<String> = page.matches.iter().map(name).collect();
        let short: Vec<&str> =
            names.iter().filter_map(|name| name.split_once('/')).map(|(_, id)| id).collect();
        assert_eq!(short.join(" "), expected, "{query}");
        assert_eq!(page.total, Some(names.len() as u64), "{query}");
    }
    world.runner.stop().await;
}

/// Whatever may be gathered first: chains find the same from the inside and from the outside.
#[tokio::test]
async fn chains_lead_to_what_a_resource_itself_contains() {
    let table = [
        ("MedicationRequest?medication.code=a", "r1 r3"),
        ("MedicationRequest?medication:Medication.code=a", "r1 r3"),
        // The other contained one is not what the reference leads to.
        ("MedicationRequest?medication.code=b", "r2"),
        ("MedicationRequest?medication.code:not=a", "r2 r4"),
        // What is contained is named within its container: others with the same id are meant.
        ("MedicationRequest?medication._id=m1", "r3"),
        ("MedicationRequest?medication._id:not=m1", "r1 r2 r4"),
        ("MedicationRequest?medication._id=m2", ""),
        ("Observation?subject._id=p1", ""),
        ("Medication?manufacturer._id=maker&_contained=true", "r1 r2"),
        ("Medication?manufacturer._id=o1&_contained=true", ""),
        ("Medication?manufacturer.name=inner&_contained=true", "r4"),
        ("MedicationRequest?medication.code:text=text", "r1 r2 r3 r4"),
        ("MedicationRequest?medication.manufacturer.name=makers", "r1 r2 r3"),
        ("MedicationRequest?medication.manufacturer.name=inner", "r4"),
        ("MedicationRequest?medication._has:MedicationRequest:medication:_id=r2", "r2"),
        ("MedicationRequest?_filter=medication.code eq b", "r2"),
        ("Patient?_has:MedicationRequest:subject:medication.code=b", "2"),
        ("Observation?subject.family=within", "o"),
        ("Observation?subject.family=without", ""),
        ("Observation?subject=p1", ""),
    ];
    let loose = SearchLimits::default();
    for limits in [
        loose,
        SearchLimits { joined_max: 0, ..loose },
        SearchLimits { gathered_max: 1, tried_max: 1, ..loose },
    ] {
        let mut world = World::new().await;
        world.index = world.index.with_limits(limits);
        some(&world).await;
        let within = json!({"resourceType": "Organization", "id": "o1", "name": "Inner"});
        let mut made_within = medication("m1", "d", "active");
        made_within["manufacturer"]["reference"] = json!("#o1");
        let other = json!({"resourceType": "Patient", "id": "p2", "name": [{"family": "Without"}]});
        let patient = json!({"resourceType": "Patient", "id": "p1", "name": [{"family": "Within"}]});
        let mut own = request("r3", "1", &[]);
        own["medicationReference"]["reference"] = json!("Medication/m1");
        world
            .put([
                json!({"resourceType": "Patient", "id": "2"}),
                own,
                request("r4", "1", &[within, made_within]),
                json!({"resourceType": "Observation", "id": "o", "status": "final", "contained": [patient, other],
                    "subject": {"reference": "#p1"}, "code": {"text": "x"}}),
            ])
            .await;
        expect(&world, &table).await;
        // What a container once contained leads nowhere now, and does on pages that were begun then.
        let first = world.search("MedicationRequest?medication.code=a&_count=1").await;
        world.put([request("r1", "1", &[medication("m1", "c", "active")])]).await;
        let next = world
            .search(&format!("MedicationRequest?medication.code=a&_count=1&ct={}", first.next.unwrap()))
            .await;
        assert_eq!((first.matches[0].id.as_str(), next.matches[0].id.as_str()), ("r3", "r1"));
        assert_eq!(world.found("MedicationRequest?medication.code=a").await, "r3");
        world.runner.stop().await;
    }
}

/// By `_has` and `_list` a contained resource is found because of its container, which alone refers to it. Whatever may be
/// gathered first, they find the same.
#[tokio::test]
async fn containers_refer_to_what_they_contain() {
    let list = |id: &str, item: &str, contained: &[Value]| {
        json!({"resourceType": "List", "id": id, "status": "current", "mode": "working", "contained": contained,
            "entry": [{"item": {"reference": item}}]})
    };
    let table = [
        ("Medication?_has:MedicationRequest:medication:status=active&_contained=true", "r1 r2"),
        ("Medication?_has:MedicationRequest:medication:patient=Patient/2&_contained=true", "r2"),
        ("Medication?_has:MedicationRequest:medication:_id=r1&_contained=true", "r1"),
        ("Medication?_has:MedicationRequest:medication:_id=r1&code=b&_contained=true", ""),
        ("Medication?_has:MedicationRequest:medication:_id=r3&_contained=true", ""),
        ("Medication?_has:MedicationRequest:medication:_id=r3", "m1"),
        ("Medication?_has:MedicationRequest:medication:status=active&_contained=both", "m1 r1 r2"),
        ("Medication?_list=l1&_contained=true", "l1"),
        ("Medication?_list=l1&code=b&_contained=true", ""),
        ("Medication?_list=l2&_contained=true", ""),
        ("Medication?_list=l2&_contained=both", "m1"),
        ("Medication?_list=l1,l2&_contained=both", "l1 m1"),
        // What a list is about is on it; what that contains is not.
        ("Medication?_list=l3&_contained=true", ""),
    ];
    let loose = SearchLimits::default();
    for limits in [
        loose,
        SearchLimits { joined_max: 0, ..loose },
        SearchLimits { gathered_max: 1, tried_max: 1, ..loose },
    ] {
        let mut world = World::new().await;
        world.index = world.index.with_limits(limits);
        some(&world).await;
        let mut own = request("r3", "1", &[]);
        own["medicationReference"]["reference"] = json!("Medication/m1");
        let two = [medication("c1", "a", "active"), medication("c2", "b", "active")];
        world
            .put([
                own,
                list("l1", "#c1", &two),
                list("l2", "Medication/m1", &[]),
                list("l3", "MedicationRequest/r1", &[]),
            ])
            .await;
        expect(&world, &table).await;
        let alone = "_contained=true&_containedType=contained";
        let page = world.search(&format!("Medication?_list=l1&{alone}")).await;
        assert_eq!(page.matches.iter().map(name).collect::<Vec<_>>(), ["List/l1#c1"]);
        let query = format!("Medication?_has:MedicationRequest:medication:status=active&{alone}");
        let first = world.search(&format!("{query}&_count=1&_total=accurate")).await;
        assert_eq!((name(&first.matches[0]).as_str(), first.total), ("MedicationRequest/r2#m1", Some(2)));
        // Who does not refer to it any more has done so when the first page was made.
        let mut changed = request("r1", "1", &[medication("m1", "a", "active")]);
        changed["status"] = json!("stopped");
        world.put([changed]).await;
        let next = world.search(&format!("{query}&_count=1&ct={}", first.next.unwrap())).await;
        assert_eq!(next.matches.iter().map(name).collect::<Vec<_>>(), ["MedicationRequest/r1#m1"]);
        assert_eq!(world.found(&query).await, "r2");
        world.runner.stop().await;
    }
}

#[tokio::test]
async fn containers_are_counted_once_and_come_once() {
    let world = World::new().await;
    some(&world).await;
    for (query, total) in [
        ("Medication?_contained=true", 2),
        ("Medication?_contained=both", 3),
        ("Observation?_contained=both", 1),
        ("Medication?_contained=true&_containedType=contained", 3),
        ("Medication?_contained=both&_containedType=contained", 4),
        ("Medication?_contained=true&code=z", 0),
    ] {
        for control in ["_summary=count", "_count=0", "_total=accurate", "_total=estimate"] {
            let page = world.search(&format!("{query}&{control}")).await;
            assert_eq!(page.total, Some(total), "{query}&{control}");
        }
    }
    world.runner.stop().await;
}

#[tokio::test]
async fn a_contained_resource_is_in_the_compartments_of_its_container_only() {
    let world = World::new().await;
    some(&world).await;
    let table = [
        ("Patient/1/Medication?_contained=true", "r1"),
        ("Patient/2/Medication?_contained=true", "r2"),
        ("Patient/1/*?_contained=true", "1 r1 whole"),
        // It says itself that it is about another patient; its container is not.
        ("Patient/2/Observation?_contained=true", ""),
        ("Patient/1/Observation?_contained=true", "whole"),
        ("Patient/2/*?_contained=true", "r2"),
        ("Patient/2/*?_contained=both", "r2"),
        ("Patient/1/*?_contained=both", "1 r1 whole"),
        ("Patient/1/Organization?_contained=true", "1"),
        ("Patient/3/*?_contained=true", ""),
    ];
    expect(&world, &table).await;
    world.runner.stop().await;
}

#[tokio::test]
async fn what_does_not_go_with_contained_resources_is_refused() {
    let world = World::new().await;
    some(&world).await;
    world.settle().await;
    for (query, said) in [
        ("Medication?_contained=maybe", "_contained: true, false or both is wanted"),
        ("Medication?_contained=true&_containedType=all", "_containedType: container or contained is wanted"),
        ("Medication?_contained=true&_contained=both", "_contained: is given more than once"),
        (
            "Medication?_contained=true&_not-referenced=*:*",
            "not everything that refers to a contained resource",
        ),
        ("Observation?_contained=true&_sort=date", "sorted by _lastUpdated only"),
    ] {
        let issues = world.query(query).unwrap_err();
        assert!(issues.iter().any(|issue| issue.text.contains(said)), "{query}: {issues:?}");
    }
    // They ask nothing more than what is asked without them.
    for query in ["Medication?_containedType=contained", "Medication?_contained=false&_sort=_id"] {
        assert_eq!(world.found(query).await, "m1", "{query}");
    }
    world.runner.stop().await;
}

#[tokio::test]
async fn pages_and_warnings_are_of_the_question_that_was_asked() {
    let world = World::new().await;
    some(&world).await;
    let query = "Medication?_contained=true&_containedType=contained&_count=1";
    let next = world.search(query).await.next.unwrap();
    for other in [
        "Medication?_contained=both&_containedType=contained&_count=1",
        "Medication?_contained=true&_count=1",
        "Medication?_count=1",
    ] {
        let issues = world.query(&format!("{other}&ct={next}")).unwrap_err();
        assert!(issues[0].text.contains("does not belong to this query"), "{other}: {issues:?}");
    }
    // Whatever contains it may be parked.
    world.put_broken("CarePlan", "p").await;
    assert!(world.search("Medication?_contained=true").await.parked.is_some());
    assert!(world.search("Medication").await.parked.is_none());
    world.runner.stop().await;
}
