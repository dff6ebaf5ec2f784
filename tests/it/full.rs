//! Queues that are full: refused with 429 or 503 and Retry-After; what is refused is not written, what is answered is.

use anamnesis_events::ResourceKey;
use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::support::{Answer, Hold, eventually, in_time, test};

/// Reads that wait in the server's queue at the most.
const QUEUE_MAX: usize = 2048;

fn patient(id: &str) -> String {
    format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#)
}

/// Checks a refusal as clients know it, and says which it is.
fn refused(answer: &Answer) -> (u16, String) {
    let after = (answer.header("retry-after"), answer.header("x-ms-retry-after-ms"));
    assert_eq!(after, ("1", "1000"), "{}", answer.text());
    (answer.status.as_u16(), answer.outcome())
}

fn transient() -> (u16, String) {
    (503, "transient".to_owned())
}

#[test]
fn reads_beyond_the_queue_are_503_and_all_others_are_answered() {
    test(|server| async move {
        server.put("/Patient/a", patient("a")).await;
        let hold = Hold::reads(&server.database).await;
        let read = |_| {
            let reads = server.compartments.reads().clone();
            tokio::spawn(async move { reads.current(ResourceKey::new("Patient", "a")).await })
        };
        let taken: Vec<_> = (0..3 * 64).map(read).collect();
        hold.until_waiting(3).await;
        // All workers wait for the database, so nobody takes anything out of the queue any more.
        let queued: Vec<_> = (0..=QUEUE_MAX).map(read).collect();
        eventually("the queue is full", async || queued.iter().any(JoinHandle::is_finished)).await;
        for answer in [
            server.get("/Patient/a").await,
            // An update has to know what is there.
            server.put("/Patient/b", patient("b")).await,
        ] {
            assert_eq!(refused(&answer), transient());
        }
        hold.release().await;
        let mut served = 0;
        for read in in_time("reads", join_all(taken.into_iter().chain(queued))).await {
            served += usize::from(read.unwrap().is_ok());
        }
        // A worker takes what is there when it comes: between one and 64.
        assert!((QUEUE_MAX + 3..=QUEUE_MAX + 3 * 64).contains(&served), "{served} were served");
        assert_eq!(server.get("/Patient/a").await.header("etag"), "W/\"1\"", "nothing was written");
        assert_eq!(server.events().await, 1);
    });
}
