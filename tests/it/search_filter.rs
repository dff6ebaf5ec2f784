//! `_filter`

use serde_json::json;

use crate::searchset::{ids, link, put};
use crate::support::test;

#[test]
fn filters_are_asked_over_http() {
    test(|server| async move {
        for (id, family) in [("a", "O'Neil"), ("b", "Oneill"), ("c", "Smith")] {
            put(&server, &json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]})).await;
        }
        let search = "/Patient?_sort=_id&_filter=family%20eq%20%22oneil%22%20or%20not%20(family+sw+oneil)";
        let found = server.get(search).await.json();
        assert_eq!(ids(&found).join(" "), "a c", "{found}");
        let own = link(&found, "self").unwrap();
        let again = server.get(own.strip_prefix(&server.base).unwrap()).await.json();
        assert_eq!(ids(&again), ids(&found), "{own}");
        let refused = server.get("/Patient?_filter=family%20ew%20x").await;
        assert_eq!((refused.status.as_u16(), refused.outcome().as_str()), (400, "not-supported"));
        assert!(refused.text().contains("ew"), "{}", refused.text());
        let malformed = server.get("/Patient?_filter=family").await;
        assert_eq!((malformed.status.as_u16(), malformed.outcome().as_str()), (400, "invalid"));
        // Nothing is widened where criteria decide.
        let deleted = server.delete("/Patient?_filter=family%20ew%20x").await;
        assert_eq!(deleted.status, 400);
    });
}
