//! Queries: what is refused, what is left out, and what is said about it.

use anamnesis_projections::search::{Handling, IssueKind, SearchLimits, Severity, Summary, Total};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn unknown_parameters_are_left_out_or_refused() {
    let world = World::new().await;
    for query in [
        "Patient?nonsense=1",
        "Patient?organization.nothing=x",
        "Patient?_has:Observation:nothing:code=1",
        "Patient?_text=x",
        "Patient?_content=x",
        "Patient?_query=x",
        "Patient?_text:missing=true",
        "Patient?_sort=gender",
        "Patient?name=",
        "?name=x",
        "?_type=Patient,Observation&name=x",
    ] {
        let (parsed, issues) = world.query(query).unwrap();
        assert_eq!(issues.len(), 1, "{query}: {issues:?}");
        assert_eq!(
            (issues[0].severity, issues[0].kind),
            (Severity::Warning, IssueKind::NotSupported),
            "{query}"
        );
        let kept: Vec<&str> = parsed.applied().iter().map(|(name, _)| name.as_str()).collect();
        assert!(kept.iter().all(|name| *name == "_type"), "{query}: {kept:?}");
        let refused = world.query_as(query, Handling::Strict).unwrap_err();
        assert_eq!(refused[0].severity, Severity::Error, "{query}");
    }
}

/// R4 search.html#modifiers: a server that left a modifier out would answer another question.
#[tokio::test]
async fn unsupported_modifiers_are_refused_under_any_handling() {
    let world = World::new().await;
    for query in [
        "Patient?name:nonsense=1",
        "Patient?gender:exact=male",
        "Observation?code:in=http://a/vs",
        "Patient?name:of-type=a|b|c",
        "Location?near:exact=1|2",
        "Patient?birthdate:exact=2000-01-01",
        "Patient?_id:above=1",
        "?_type=Patient,Observation&_lastUpdated:not=2000",
    ] {
        let refused = world.query(query).unwrap_err();
        let found: Vec<_> = refused.iter().map(|issue| (issue.severity, issue.kind)).collect();
        assert_eq!(found, [(Severity::Error, IssueKind::NotSupported)], "{query}");
    }
}

#[tokio::test]
async fn bad_values_are_refused_under_any_handling() {
    let world = World::new().await;
    for query in [
        "Patient?birthdate=yesterday",
        "Patient?birthdate=2013-02-30",
        "Patient?birthdate=xx2013",
        "RiskAssessment?probability=much",
        "RiskAssessment?probability=1e999",
        "RiskAssessment?probability=.5",
        "Observation?value-quantity=5|mg",
        "Observation?value-quantity=|s|mg",
        "Observation?code=a|b|c",
        "Observation?code=|",
        "Observation?code=a,,b",
        "Patient?identifier:of-type=a|b",
        "Patient?identifier:of-type=a||b",
        "Location?near=1",
        "Location?near=91|0",
        "Location?near=1|2|x",
        "Location?near=1|2|3|parsec",
        "Location?near=1|2|-3|km",
        "Observation?code-value-quantity=a",
        "Observation?code-value-quantity=a$",
        "Observation?code-value-quantity=a$x",
        "Observation?component-code-value-quantity=s|$1",
        "Patient?name= ",
        "Patient?name:contains=a, ",
        "Observation?subject:Organization=1",
        "Observation?code:missing=maybe",
        "Patient?_count=-1",
        "Patient?_count=ten",
        "Patient?_total=all",
        "Patient?_summary=some",
        "Patient?_sort=_id,_id,_id,_id,_id,_id,_id,_id,_id",
        "Patient?_elements=id&_summary=true",
        "?_type=Nonsense",
        "Nonsense?_id=1",
        "Patient?ct=nonsense",
        "Patient?_id=Patient/1",
        "Patient?_id:not=a b",
        "Patient?_list=Group/1",
        "Patient?family:=x",
        "Observation?subject=patient/1",
        "Observation?subject=Patient/",
        "Observation?subject=a b",
        "Observation?subject=Patient/1/2",
    ] {
        let refused = world.query(query).unwrap_err();
        assert_eq!(refused[0].kind, IssueKind::Invalid, "{query}");
        assert!(
            refused[0].text.len() > 10 && !refused[0].text.contains("yesterday"),
            "{query}: {}",
            refused[0].text
        );
    }
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let world = World::new().await;
    let refused = world.query("Patient?birthdate=x&_count=y&_id=1&gender=|").unwrap_err();
    let names: Vec<_> = refused.iter().map(|issue| issue.parameter.as_deref().unwrap()).collect();
    assert_eq!(names, ["_count", "birthdate", "gender"]);
}

#[tokio::test]
async fn counts_are_cut_and_the_self_link_says_so() {
    let world = World::new().await;
    let (query, issues) =
        world.query("Patient?_count=5000&x=y&gender=male&_format=json&_sort=-birthdate").unwrap();
    assert_eq!(query.count(), 1000);
    assert_eq!(issues.len(), 2);
    assert_eq!(issues.iter().filter(|issue| issue.severity == Severity::Information).count(), 1);
    let applied: Vec<_> = query.applied().iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(applied, ["gender=male", "_count=1000", "_sort=-birthdate"]);
    let (query, _) = world.query("Patient").unwrap();
    assert_eq!((query.count(), query.total(), query.summary()), (10, Total::None, Summary::False));
}

/// The links of a page show what was applied: their pages have to follow without what was not.
#[tokio::test]
async fn what_cannot_be_sorted_by_is_left_out_of_the_order_alone() {
    let world = World::new().await;
    let patient =
        |id: &str, family: &str| json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]});
    world.put([patient("a", "b"), patient("b", "c"), patient("c", "a")]).await;
    world.settle().await;
    for (asked, applied, expected) in
        [("gender,family", Some("_sort=family"), ["c", "a"]), ("-gender", None, ["c", "b"])]
    {
        let (query, issues) = world.query(&format!("Patient?_sort={asked}&_count=1")).unwrap();
        assert_eq!((issues.len(), issues[0].severity), (1, Severity::Warning));
        let given: Vec<_> = query.applied().iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(given.iter().find(|one| one.starts_with("_sort")).map(String::as_str), applied);
        let first = world.index.search(&query).await.unwrap();
        let next = format!("Patient?{}&ct={}", given.join("&"), first.next.unwrap());
        let second = world.search(&next).await;
        assert_eq!([&first.matches[0].id, &second.matches[0].id], expected);
    }
}

#[tokio::test]
async fn of_types_that_are_not_searched_nothing_is_found() {
    let world = World::new().await;
    world
        .put([json!({"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "x"}})])
        .await;
    assert_eq!(world.found("Observation?_type=Patient&status=final").await, "");
    assert_eq!(world.found("Observation?_type=Patient").await, "");
}

#[tokio::test]
async fn totals_are_given_when_asked_for() {
    let world = World::new().await;
    let patient = |id: usize| json!({"resourceType": "Patient", "id": format!("{id}"), "gender": if id < 5 { "male" } else { "female" }});
    let written = world.put((0..20).map(patient)).await;
    let page = world.search("Patient?gender=female&_total=accurate").await;
    assert_eq!((page.matches.len(), page.total, page.reached), (10, Some(15), written));
    assert_eq!(world.search("Patient?_total=estimate&_count=1").await.total, Some(20));
    assert_eq!(world.search("Patient").await.total, None);
    let limits = SearchLimits { counted_max: 3, ..SearchLimits::default() };
    let index = world.index.clone().with_limits(limits);
    let estimated = async |query: &str| {
        let (query, _) = world.query(query).unwrap();
        index.search(&query).await.unwrap().total.unwrap()
    };
    assert_eq!(estimated("Patient?_total=accurate").await, 20);
    assert_eq!(estimated("Patient?_id=1,2,3&_total=estimate").await, 3, "three can be counted");
    assert!(estimated("Patient?gender=female&_total=estimate").await > 3, "it is more than were counted");
    for query in ["Patient?_summary=count&gender=male", "Patient?_count=0&gender=male"] {
        let page = world.search(query).await;
        assert_eq!((page.matches.len(), page.total, page.next), (0, Some(5), None));
    }
}

#[tokio::test]
async fn deleted_resources_are_not_found() {
    let world = World::new().await;
    let patient = |name: &str| json!({"resourceType": "Patient", "id": "a", "name": [{"family": name}], "birthDate": "1970-01-01"});
    world.put([patient("one")]).await;
    assert_eq!(world.found("Patient?name=one&birthdate=1970").await, "a");
    world.put([patient("two")]).await;
    assert_eq!(world.found("Patient?name=one").await, "");
    assert_eq!(world.found("Patient?name=two&birthdate=1970").await, "a");
    world.delete("Patient", "a").await;
    assert_eq!(world.found("Patient?name=two").await, "");
    assert_eq!(world.found("Patient?birthdate=1970").await, "");
    assert_eq!(world.found("Patient?_id=a").await, "");
    world.put([patient("three")]).await;
    assert_eq!(world.found("Patient?name=three&_id=a").await, "a");
}

#[tokio::test]
async fn a_query_of_too_many_conditions_is_refused() {
    let world = World::new().await;
    let values: Vec<String> = (0..1000).map(|n| format!("v{n}")).collect();
    let many = values.join(",");
    let refused = world.query(&format!("?_id={many}")).unwrap_err();
    assert_eq!((refused[0].severity, refused[0].kind), (Severity::Error, IssueKind::TooCostly));
    let eleven: Vec<String> = (0..11).map(|_| format!("name:contains={many}")).collect();
    let refused = world.query(&format!("Patient?{}", eleven.join("&"))).unwrap_err();
    assert_eq!(refused[0].kind, IssueKind::TooCostly);
    // What is allowed is also answered.
    let (query, _) = world.query(&format!("Patient?name:contains={many}&_id={many}")).unwrap();
    assert_eq!(world.index.search(&query).await.unwrap().matches, []);
}
