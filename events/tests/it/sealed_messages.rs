//! Where bodies are sealed in the log they are sealed in the stream, and readers of the feed get them opened.

use anamnesis_events::seal::Header;
use anamnesis_events::stream::stream_name;
use anamnesis_events::*;

use crate::erasure::erase;
use crate::relay::{Bench, WORKSPACE, published};
use crate::sealed::{KEY_A, sealing};
use crate::support::*;

/// In no message may this be read.
const MARKER: &str = "Quxxzymborski";

#[tokio::test]
async fn messages_carry_sealed_bodies_and_readers_get_them_opened() {
    let bench = Bench::with(sealing(KEY_A)).await;
    let context = async_nats::jetstream::new(bench.client().await);
    let append = async |draft: Draft| bench.log.append(Group::single(draft)).await.unwrap().remove(0);
    append(write(key("a"), 1, MARKER)).await;
    let relay = bench.relay().await;
    published(&relay, Position::new(1)).await;
    let mut feed = JetStreamFeed::new(bench.log.clone(), context.clone(), WORKSPACE, Position::ZERO);
    let mut events = feed.next(1).await.unwrap();
    append(write(key("b"), 1, MARKER)).await;
    append(delete(key("b"), 2)).await;
    while events.len() < 3 {
        events.extend(feed.next(10).await.unwrap());
    }
    assert_eq!(events, bench.log.read(Position::ZERO, 10).await.unwrap());

    published(&relay, Position::new(3)).await;
    let stream = context.get_stream(stream_name(WORKSPACE)).await.unwrap();
    for position in 1..=2 {
        let message = stream.get_raw_message(position).await.unwrap();
        let header = Header::of(&message.payload).unwrap().unwrap();
        assert_eq!(message.headers.get("ce-sealed").unwrap().as_str(), header.key.to_string());
        assert_eq!(message.headers.get("content-type").unwrap().as_str(), "application/vnd.anamnesis.sealed");
        let text = String::from_utf8_lossy(&message.payload);
        assert!(!text.contains(MARKER) && !text.contains("resourceType"), "{text}");
    }
    let ended = stream.get_raw_message(3).await.unwrap();
    assert!(ended.payload.is_empty() && ended.headers.get("ce-sealed").is_none());

    let range = (Position::ZERO, Position::new(u64::MAX));
    let found = audit::stream(&bench.log, &context, range, &mut |_| {}).await.unwrap();
    assert_eq!((found.messages, found.bodies), (3, 2));
    assert!(found.faults.kept().is_empty(), "{:?}", found.faults.kept());

    append(erase(key("a"), 2)).await;
    until("the stream is clean", async || stream.get_raw_message(1).await.is_err()).await;
    relay.stop().await;
    let found = audit::stream(&bench.log, &context, range, &mut |_| {}).await.unwrap();
    assert!(found.faults.kept().is_empty(), "{:?}", found.faults.kept());
}
