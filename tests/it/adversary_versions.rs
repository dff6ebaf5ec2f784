//! Resources that came from one patient's record into another's: each version is seen by whose it was.

use crate::adversary::{Both, ask, get, observation, of_patient, with_both};

/// An observation that was b's, became a's, and was deleted then; and one that was a's and became b's.
async fn moved(both: &Both) {
    for (id, patients) in [("m", ["b", "b", "a"]), ("n", ["a", "b", "b"])] {
        for (at, patient) in patients.into_iter().enumerate() {
            let body = observation(id, patient, &format!("code-{patient}-{at}"));
            let answer = both.all.put(&format!("/Observation/{id}"), body.to_string()).await;
            assert!(answer.status.is_success());
        }
    }
}

#[test]
fn versions_are_read_each_by_itself() {
    with_both(|both| async move {
        moved(&both).await;
        let server = &both.all;
        let (a, b) = (of_patient("a", "patient/*.rs"), of_patient("b", "patient/*.rs"));
        for (id, of_a, of_b) in
            [("m", [404, 404, 200], [200, 200, 404]), ("n", [200, 404, 404], [404, 200, 200])]
        {
            for (app, expected) in [(&a, of_a), (&b, of_b)] {
                for (at, status) in expected.into_iter().enumerate() {
                    let url = format!("Observation/{id}/_history/{}", at + 1);
                    assert_eq!(ask(server, app, &get(&url)).await.status, status, "{url}");
                }
                let current = ask(server, app, &get(&format!("Observation/{id}"))).await;
                assert_eq!(current.status, expected[2], "{id}");
                let history = ask(server, app, &get(&format!("Observation/{id}/_history?_count=1"))).await;
                let shown = expected.iter().filter(|status| **status == 200).count();
                assert_eq!(history.status, 200, "{id}");
                // Pages go on behind what is hidden.
                let (mut seen, mut next) =
                    (history.json()["entry"].as_array().unwrap().len(), history.next(&server.base));
                while let Some(url) = next {
                    let page = ask(server, app, &get(&url)).await;
                    seen += page.json()["entry"].as_array().map_or(0, Vec::len);
                    next = page.next(&server.base);
                }
                assert_eq!(seen, shown, "{id}");
            }
        }
        let history = ask(server, &a, &get("Observation/m/_history")).await;
        assert!(!history.body.contains("code-b"), "{}", history.body);
        assert_eq!(ask(server, &a, &get("Observation?code=code-b-1")).await.found(), "");
    });
}

#[test]
fn the_past_is_seen_by_whose_it_was() {
    with_both(|both| async move {
        moved(&both).await;
        let server = &both.all;
        let (a, b) = (of_patient("a", "patient/*.rs"), of_patient("b", "patient/*.rs"));
        let head = server.events().await;
        // The first version of each is five and two events ago.
        for (url, of_a, of_b) in [
            (format!("Observation/m?_asOf={}", head - 4), 404, 200),
            (format!("Observation/m?_asOf={head}"), 200, 404),
            (format!("Observation/n?_asOf={}", head - 2), 200, 404),
            (format!("Observation/n?_asOf={head}"), 404, 200),
        ] {
            assert_eq!(ask(server, &a, &get(&url)).await.status, of_a, "{url}");
            assert_eq!(ask(server, &b, &get(&url)).await.status, of_b, "{url}");
        }
        let then = get(&format!("Patient/a/Observation?_asOf={}", head - 2));
        assert_eq!(ask(server, &a, &then).await.found(), "a1 a2 ba m n");
        assert_eq!(ask(server, &b, &then).await.status, 403);
        let everything = get(&format!("Patient/a/$everything?_type=Observation&_count=99&_asOf={head}"));
        assert_eq!(ask(server, &a, &everything).await.found(), "a1 a2 ba m");
    });
}

#[test]
fn deletes_are_told_to_whose_it_was() {
    with_both(|both| async move {
        moved(&both).await;
        let server = &both.all;
        let (a, b) = (of_patient("a", "patient/*.rs"), of_patient("b", "patient/*.rs"));
        for id in ["m", "n"] {
            assert_eq!(server.delete(&format!("/Observation/{id}")).await.status, 204);
        }
        let nothing = ask(server, &a, &get("Observation/nothing")).await;
        for (id, app, other) in [("m", &a, &b), ("n", &b, &a)] {
            let own = ask(server, app, &get(&format!("Observation/{id}"))).await;
            assert_eq!((own.status, own.version), (410, Some(4)), "{id}");
            assert_eq!(ask(server, other, &get(&format!("Observation/{id}"))).await, nothing, "{id}");
            assert_eq!(
                ask(server, other, &get(&format!("Observation/{id}/_history/4"))).await.status,
                404,
                "{id}"
            );
        }
    });
}
