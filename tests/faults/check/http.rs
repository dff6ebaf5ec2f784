//! What the server shows over HTTP after the round: every acknowledged version (I1), no half transaction (I6).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::Method;

use super::Story;
use crate::client::{Load, look_for_a_half};
use crate::http::Http;
use crate::records::{Outcome, Record, Verb};

/// Requests under way at a time.
const SIDE_BY_SIDE: usize = 8;
/// How long the index of an idle server may take to be in time.
const IN_TIME_WITHIN: Duration = Duration::from_secs(30);

pub(crate) async fn check(story: &Story, records: &[Record], http: &Http, load: &Load) -> Vec<String> {
    let versions: BTreeSet<(&str, &str, u32)> = records
        .iter()
        .flat_map(|record| &record.entries)
        .filter(|(asked, _)| asked.verb != Verb::Read)
        .filter_map(|(asked, outcome)| match outcome {
            Outcome::Done(told) => Some((asked.resource_type, told.id.as_deref()?, told.version?)),
            _ => None,
        })
        .collect();
    let reads = versions.into_iter().map(|(kind, id, version)| read(story, http, kind, id, version));
    let read: Vec<Option<String>> = futures::stream::iter(reads).buffered(SIDE_BY_SIDE).collect().await;
    let sent = load.transactions.lock().unwrap().clone();
    let looks = sent.iter().map(|(token, size)| look_for_a_half(http, load, token, *size));
    futures::stream::iter(looks).buffered(SIDE_BY_SIDE).collect::<Vec<()>>().await;
    read.into_iter().flatten().chain(still_late(http).await).collect()
}

/// Nothing is written any more: a search that still says that it is late has nothing to wait for (I8).
async fn still_late(http: &Http) -> Option<String> {
    let deadline = Instant::now() + IN_TIME_WITHIN;
    let strict = [("Prefer", "handling=strict".to_owned())];
    loop {
        let reply = http.send(false, Method::GET, "/Patient?_summary=count", &strict, None).await;
        match reply.map(|reply| reply.status) {
            Ok(200) => return None,
            status if Instant::now() > deadline => {
                return Some(format!(
                    "I8: the server is idle, but a strict search is answered with {status:?}"
                ));
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// A version read of something that was acknowledged gives what the log has.
async fn read(story: &Story, http: &Http, kind: &str, id: &str, version: u32) -> Option<String> {
    // That it is in the log has been checked elsewhere.
    let event = story.version(kind, id, version)?;
    let reply = http.get(&format!("/{kind}/{id}/_history/{version}")).await;
    let is_there = match &reply {
        Ok(reply) if event.payload.is_empty() => reply.status == 410,
        Ok(reply) => reply.status == 200 && reply.body == event.payload,
        Err(_) => false,
    };
    let status = reply.map(|reply| reply.status);
    (!is_there).then(|| {
        format!("I1: version {version} of {kind}/{id} was acknowledged; a read of it gives {status:?}")
    })
}
