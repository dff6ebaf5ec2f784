//! `:text`, and what is refused of it.

use serde_json::json;

use crate::searchset::{ids, link, put};
use crate::support::test;

#[test]
fn codes_are_found_by_their_texts_over_http() {
    test(|server| async move {
        for (id, text) in [("a", "Severe headache"), ("b", "Headache, mild"), ("c", "Cough")] {
            let subject = json!({"reference": "Patient/p", "display": "Zoë O'Neil"});
            let code = json!({"text": text});
            let condition = json!({"resourceType": "Condition", "id": id, "code": code, "subject": subject});
            put(&server, &condition).await;
        }
        let first = server.get("/Condition?code:text=HEAD&_sort=_lastUpdated&_count=1").await.json();
        assert_eq!(ids(&first).join(" "), "a", "{first}");
        // What has changed since is still on the page, as it was.
        put(&server, &json!({"resourceType": "Condition", "id": "b", "subject": {"reference": "Patient/p"}}))
            .await;
        let next = link(&first, "next").unwrap();
        let second = server.get(next.strip_prefix(&server.base).unwrap()).await.json();
        assert_eq!(ids(&second).join(" "), "b", "{second}");
        let found = server.get("/Condition?subject:text=oneil&_sort=_lastUpdated").await.json();
        assert_eq!(ids(&found).join(" "), "a c", "{found}");
        let missing = server.get("/Observation?code-value-quantity:missing=true").await;
        assert_eq!(missing.status, 200);
        for query in ["/Observation?status:text=final", "/Observation?date:text=x"] {
            let refused = server.get(query).await;
            assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "not-supported"));
        }
        let empty = server.get("/Condition?code:text=%20").await;
        assert_eq!((empty.status.as_u16(), empty.outcome().as_str()), (400, "invalid"));
        // Nothing is widened where criteria decide.
        assert_eq!(server.delete("/Condition?code:text=%20").await.status, 400);
    });
}
