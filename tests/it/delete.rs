//! `DELETE /{type}/{id}`

use crate::support::test;

const BODY: &str = r#"{"resourceType":"Patient","id":"a","active":true}"#;

#[test]
fn delete_leaves_410_and_history_and_can_be_undone() {
    test(|server| async move {
        server.put("/Patient/a", BODY).await;
        let deleted = server.delete("/Patient/a").await;
        assert_eq!(
            (deleted.status.as_u16(), deleted.header("etag"), deleted.bytes.len()),
            (204, "W/\"2\"", 0)
        );
        assert_eq!(deleted.header("x-anamnesis-position"), "2");
        let gone = server.get("/Patient/a").await;
        assert_eq!((gone.status.as_u16(), gone.outcome().as_str()), (410, "deleted"));
        assert_eq!(gone.header("etag"), "W/\"2\"");
        assert_eq!(server.get("/Patient/a/_history/1").await.status, 200);
        assert_eq!(server.get("/Patient/a/_history/2").await.status, 410);
        let again = server.delete("/Patient/a").await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (204, "W/\"2\""));
        assert_eq!(server.events().await, 2);
        let back = server.put("/Patient/a", BODY).await;
        assert_eq!((back.status.as_u16(), back.header("etag")), (201, "W/\"3\""));
        assert_eq!(server.get("/Patient/a").await.status, 200);
    });
}

#[test]
fn delete_of_what_never_was_succeeds_and_writes_nothing() {
    test(|server| async move {
        let answer = server.delete("/Patient/nobody").await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (204, ""));
        assert_eq!(server.events().await, 0);
    });
}

#[test]
fn if_match_guards_a_delete() {
    test(|server| async move {
        server.put("/Patient/a", BODY).await;
        let stale = server.send("DELETE", "/Patient/a", &[("If-Match", "W/\"7\"")], "").await;
        assert_eq!(stale.status, 412);
        assert_eq!(server.send("DELETE", "/Patient/a", &[("If-Match", "W/\"1\"")], "").await.status, 204);
    });
}
