//! The feed from Postgres: in order, from any position, waiting for what is not there yet.

use anamnesis_events::*;

use crate::erasure::{erase, replace};
use crate::support::*;

#[tokio::test]
async fn a_feed_catches_up_in_pages_and_goes_on_live() {
    let log = fresh_log().await;
    for n in 0..7 {
        log.append(Group::single(write(key(&n.to_string()), 1, "a"))).await.unwrap();
    }
    let mut feed = log.feed(Position::new(2));
    let mut pages = vec![];
    while feed.position() < Position::new(7) {
        pages.push(feed.next(2).await.unwrap().iter().map(|event| event.position.get()).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![3, 4], vec![5, 6], vec![7]]);
    let (live, written) =
        futures::join!(feed.next(10), log.append(Group::single(write(key("live"), 1, "a"))));
    assert_eq!(live.unwrap()[0].position, written.unwrap()[0].position);
}

#[tokio::test]
async fn a_feed_hears_of_what_another_node_appends() {
    let database = database().await;
    let (here, there) = (open(&database).await, open(&database).await);
    let mut feed = here.feed(Position::ZERO);
    let (live, _) = futures::join!(feed.next(10), there.append(Group::single(write(key("1"), 1, "a"))));
    assert_eq!(live.unwrap()[0].position, Position::new(1));
    let mut head = here.watch();
    head.wait_for(|head| *head == Position::new(1)).await.unwrap();
}

#[tokio::test]
async fn a_feed_gives_the_rest_of_a_closed_log_and_ends() {
    let log = fresh_log().await;
    log.append(Group::single(write(key("1"), 1, "a"))).await.unwrap();
    let mut feed = log.feed(Position::ZERO);
    log.close().await;
    assert_eq!(feed.next(10).await.unwrap().len(), 1);
    assert!(matches!(feed.next(10).await, Err(FeedError::Closed)));
}

#[tokio::test]
async fn a_waiting_feed_ends_when_the_log_is_closed() {
    let log = fresh_log().await;
    let mut feed = log.feed(Position::ZERO);
    let (ended, ()) = futures::join!(feed.next(10), log.close());
    assert!(matches!(ended, Err(FeedError::Closed)));
}

/// A process gives from memory what it has just written. That has to be what it would read, to the last field.
#[tokio::test]
async fn a_feed_gives_what_the_log_has_whoever_wrote_it() {
    let database = database().await;
    let (here, there) = (open(&database).await, open(&database).await);
    let touching = |id: &str| Draft {
        touches: ["Patient/2", "Patient/1"].map(str::to_owned).to_vec(),
        source: Some("test".into()),
        ..write(key(id), 1, "touching")
    };
    let steps = [
        (&here, vec![write(key("a"), 1, "first"), touching("t")]),
        (&here, vec![write(key("a"), 2, "second")]),
        (&here, vec![delete(key("a"), 3), write(key("b"), 1, "first")]),
        (&there, vec![write(key("b"), 2, "from elsewhere")]),
        (&here, vec![write(key("a"), 4, "again")]),
        (&here, vec![replace(key("a"), 5, "nothing is left of the one before")]),
        (&there, vec![erase(key("a"), 6)]),
        (&here, vec![write(key("b"), 3, "third")]),
        (&here, vec![erase(key("b"), 4)]),
    ];
    let mut feeds = Vec::new();
    for (log, drafts) in steps {
        log.append(group(drafts)).await.unwrap();
        let head = log.head().await.unwrap();
        // What another node has written is known a moment later; until then what it erased may still be given.
        here.watch().wait_for(|known| *known == head).await.unwrap();
        feeds.push(here.feed(Position::new(feeds.len() as u64)));
        for feed in &mut feeds {
            while feed.position() < head {
                let before = feed.position();
                let given = feed.next(3).await.unwrap();
                assert_eq!(given, here.read(before, given.len()).await.unwrap());
            }
        }
    }
    // From the beginning, by whoever comes last: no body that is gone.
    let all = here.read(Position::ZERO, 100).await.unwrap();
    assert_eq!(all.iter().filter(|event| event.erased.is_some()).count(), 8);
    assert_eq!(here.feed(Position::ZERO).next(100).await.unwrap(), all);
}
