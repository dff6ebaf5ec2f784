//! What was erased leaves the stream, whatever happens to the relay and the stream in between.

use std::time::Duration;

use anamnesis_events::stream::stream_name;
use anamnesis_events::*;
use async_nats::jetstream::stream::Stream;

use crate::erasure::{erase, purge, replace};
use crate::relay::{Bench, WORKSPACE, published};
use crate::support::*;

const MARKER: &str = "Quxxzymborski";

async fn stream(bench: &Bench) -> Stream {
    let context = async_nats::jetstream::new(bench.client().await);
    context.get_stream(stream_name(WORKSPACE)).await.unwrap()
}

async fn append(bench: &Bench, draft: Draft) -> Position {
    bench.log.append(Group::single(draft)).await.unwrap().remove(0).position
}

/// Three versions of which two go with an update and a purge, and a resource that goes as a whole. Nine events.
async fn write_some(bench: &Bench) {
    for draft in [
        write(key("a"), 1, MARKER),
        write(key("b"), 1, MARKER),
        write(key("a"), 2, MARKER),
        write(key("c"), 1, "kept"),
        write(key("b"), 2, MARKER),
    ] {
        append(bench, draft).await;
    }
}

async fn erase_some(bench: &Bench) {
    append(bench, replace(key("a"), 3, "kept")).await;
    append(bench, purge(key("a"), 3)).await;
    append(bench, erase(key("b"), 3)).await;
    append(bench, write(key("c"), 2, "kept")).await;
}

/// Whether nothing of what was erased is in the stream, and everything else is under its number.
async fn is_clean(bench: &Bench) -> bool {
    let stream = stream(bench).await;
    let head = bench.log.head().await.unwrap();
    let state = stream.get_info().await.unwrap().state;
    if state.last_sequence != head.get() {
        return false;
    }
    for event in all(&bench.log).await {
        let message = stream.get_raw_message(event.position.get()).await;
        match (event.erased, message) {
            (Some(_), Ok(message)) if !message.payload.is_empty() => return false,
            (Some(erased), Ok(message)) => {
                let says = message.headers.get("ce-erased").map(|by| by.as_str().to_owned());
                assert_eq!(says, Some(erased.by.to_string()));
            }
            (Some(_), Err(_)) => {}
            (None, message) => assert_eq!(message.unwrap().payload, event.payload),
        }
    }
    true
}

/// How far the stream is clean is kept, so that no later relay looks through it again.
async fn assert_clean_is_kept(bench: &Bench) {
    let cleaned = "SELECT coalesce(max(seq), 0) FROM anamnesis.stream_cleaned";
    until("it is kept", async || number(&bench.database, cleaned).await >= 8).await;
}

/// Everything that a subscriber gets from the beginning on, and then in the stream.
async fn assert_feed_is_the_log(bench: &Bench) {
    let context = async_nats::jetstream::new(bench.client().await);
    let mut feed = JetStreamFeed::new(bench.log.clone(), context, WORKSPACE, Position::ZERO);
    let log = all(&bench.log).await;
    let mut read = Vec::new();
    while read.len() < log.len() {
        read.extend(feed.next(2).await.unwrap());
    }
    assert_eq!(read, log);
}

async fn audit_is_clean(bench: &Bench) {
    let context = async_nats::jetstream::new(bench.client().await);
    let range = (Position::ZERO, bench.log.head().await.unwrap());
    let found = audit::stream(&bench.log, &context, range, &mut |_| {}).await.unwrap();
    assert_eq!(found.faults.kept().iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
}

#[tokio::test]
async fn erased_messages_leave_the_stream_and_their_numbers_stay() {
    let bench = Bench::new().await;
    let relay = bench.relay().await;
    write_some(&bench).await;
    published(&relay, Position::new(5)).await;
    assert!(stream(&bench).await.get_raw_message(1).await.is_ok());
    erase_some(&bench).await;
    until("the stream is clean", async || is_clean(&bench).await).await;
    assert_clean_is_kept(&bench).await;
    for gone in [1, 2, 3, 5] {
        assert!(stream(&bench).await.get_raw_message(gone).await.is_err(), "{gone}");
    }
    assert_feed_is_the_log(&bench).await;
    audit_is_clean(&bench).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_that_ends_before_it_has_cleaned_leaves_that_to_the_next() {
    let bench = Bench::new().await;
    let relay = bench.relay().await;
    write_some(&bench).await;
    published(&relay, Position::new(5)).await;
    // Killed, with what is erased still in the stream.
    drop(relay);
    erase_some(&bench).await;
    for millis in [0, 1, 3, 9, 27] {
        let relay = bench.relay().await;
        tokio::time::sleep(Duration::from_millis(millis)).await;
        drop(relay);
    }
    let relay = bench.relay().await;
    until("the stream is clean", async || is_clean(&bench).await).await;
    assert_feed_is_the_log(&bench).await;
    relay.stop().await;
}

#[tokio::test]
async fn a_lost_stream_is_filled_again_without_what_was_erased() {
    let bench = Bench::new().await;
    let relay = bench.relay().await;
    write_some(&bench).await;
    erase_some(&bench).await;
    until("the stream is clean", async || is_clean(&bench).await).await;
    assert_clean_is_kept(&bench).await;
    let context = async_nats::jetstream::new(bench.client().await);
    context.delete_stream(stream_name(WORKSPACE)).await.unwrap();
    until("it is there again", async || {
        context.get_stream(stream_name(WORKSPACE)).await.is_ok() && is_clean(&bench).await
    })
    .await;
    let message = stream(&bench).await.get_raw_message(1).await.unwrap();
    assert!(message.payload.is_empty(), "it says that it was erased, and by which event");
    append(&bench, erase(key("c"), 3)).await;
    until("the stream is clean", async || is_clean(&bench).await).await;
    assert_feed_is_the_log(&bench).await;
    audit_is_clean(&bench).await;
    relay.stop().await;
}
