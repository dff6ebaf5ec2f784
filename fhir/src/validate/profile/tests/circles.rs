//! Resources that refer to each other, and profiles that make much work of it.

use super::*;

/// Profiles `http://example.org/0`, `/1` … of Observation with these elements.
fn ring(count: usize, elements: impl Fn(usize) -> String) -> Made {
    let made = |number: usize| {
        let text = format!(
            r#"{{"resourceType":"StructureDefinition","url":"http://example.org/{number}","type":"Observation",
            "baseDefinition":"http://hl7.org/fhir/StructureDefinition/Observation","differential":{{"element":[{}]}}}}"#,
            elements(number)
        );
        Arc::new(compile(document(&text).root(), None).unwrap())
    };
    Made((0..count).map(made).collect())
}

fn member_of(targets: &[usize]) -> String {
    let targets: Vec<String> =
        targets.iter().map(|target| format!(r#""http://example.org/{target}""#)).collect();
    format!(
        r#"{{"path":"Observation.hasMember","type":[{{"code":"Reference","targetProfile":[{}]}}]}}"#,
        targets.join(",")
    )
}

fn observation(id: &str, profile: usize, members: &[String], more: &str) -> String {
    let members: Vec<String> =
        members.iter().map(|member| format!(r#"{{"reference":"{member}"}}"#)).collect();
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","meta":{{"profile":["http://example.org/{profile}"]}},
        "hasMember":[{}]{more}}}"#,
        members.join(",")
    )
}

fn bundle(resources: &[String]) -> String {
    let entries: Vec<String> =
        resources.iter().map(|resource| format!(r#"{{"resource":{resource}}}"#)).collect();
    format!(r#"{{"resourceType":"Bundle","type":"collection","entry":[{}]}}"#, entries.join(","))
}

#[test]
fn resources_that_refer_to_each_other_may_conform() {
    let made = ring(1, |_| member_of(&[0]));
    let to = |id: &str| vec![format!("Observation/{id}")];
    let circle = [observation("1", 0, &to("2"), ""), observation("2", 0, &to("1"), "")];
    assert_eq!(told(&made, &[], &bundle(&circle)), [""; 0]);
    let contained = r##"{"resourceType":"Observation","contained":[{"resourceType":"Observation","id":"m",
        "hasMember":[{"reference":"#m"}]}],"hasMember":[{"reference":"#m"}]}"##;
    assert_eq!(told(&made, &["http://example.org/0"], contained), [""; 0]);
}

#[test]
fn a_circle_with_something_wrong_in_it_does_not_conform() {
    // What was found to conform while the wrong one was under way is looked at again.
    let made = ring(1, |_| format!(r#"{},{{"path":"Observation.subject","min":1}}"#, member_of(&[0])));
    let subject = r#","subject":{"reference":"Patient/1"}"#;
    let to = |ids: &[&str]| ids.iter().map(|id| format!("Observation/{id}")).collect::<Vec<_>>();
    let circle = [
        observation("1", 0, &to(&["2"]), subject),
        observation("2", 0, &to(&["1", "3"]), subject),
        observation("3", 0, &to(&["2"]), ""),
        observation("4", 0, &to(&["2"]), subject),
    ];
    let found = told(&made, &[], &bundle(&circle));
    let wrong: Vec<&str> = found.iter().map(|line| line.split(' ').next_back().unwrap_or_default()).collect();
    let entry = |number: usize, rest: &str| format!("Bundle.entry[{number}].resource.{rest}");
    assert_eq!(
        wrong,
        [
            entry(0, "hasMember[0]"),
            entry(1, "hasMember[0]"),
            entry(1, "hasMember[1]"),
            entry(2, "hasMember[0]"),
            entry(2, "subject"),
            entry(3, "hasMember[0]"),
        ]
    );
}

#[test]
fn each_resource_is_held_against_each_profile_once() {
    const COUNT: usize = 12;
    let made = ring(COUNT, |number| {
        let next = (number + 1) % COUNT;
        format!(r#"{},{{"path":"Observation.subject","min":1}}"#, member_of(&[next, next]))
    });
    let of = |number: usize| {
        let members = vec![format!("Observation/{}", (number + 1) % COUNT); 6];
        observation(&number.to_string(), number, &members, "")
    };
    let resources: Vec<String> = (0..COUNT).map(of).collect();
    let found = told(&made, &[], &bundle(&resources));
    assert!(!found.iter().any(|line| line.contains("too-costly")), "{found:?}");
    assert!(found.contains(&"error required Bundle.entry[0].resource.subject".to_owned()), "{found:?}");
}

#[test]
fn what_constraints_cost_counts() {
    // Each of them goes over all pairs of elements: some hundred thousand steps, which no constraint is too few for.
    let costly = |number: usize| {
        format!(
            r#"{{"key":"k-{number}","severity":"error","human":"h","expression":"%resource.descendants().all(%resource.descendants().count() > 0)"}}"#
        )
    };
    let constraints: Vec<String> = (0..400).map(costly).collect();
    let made = ring(1, |_| format!(r#"{{"path":"Observation","constraint":[{}]}}"#, constraints.join(",")));
    let members: Vec<String> = (0..60).map(|number| format!("Observation/{number}")).collect();
    let found = told(&made, &[], &observation("1", 0, &members, ""));
    assert_eq!(found, ["error too-costly Observation"]);
}

#[test]
fn a_check_that_nobody_waits_for_is_given_up() {
    let around = Surroundings { profiles: &Published, terminology: &terminology::Published };
    let demands = Demands::default();
    demands.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let resource = document(r#"{"resourceType":"Patient"}"#);
    let issues = check(resource.root(), &demands, &around);
    assert_eq!(issues.iter().map(|issue| issue.code.code()).collect::<Vec<_>>(), ["too-costly"]);
}
