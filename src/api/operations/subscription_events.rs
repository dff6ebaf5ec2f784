//! `$events`: the events of a subscription again, by their numbers (Subscriptions R5 Backport 1.1). What a receiver has
//! missed, for whatever reason, it can ask for.

use std::collections::HashMap;

use anamnesis_events::{Event, Position};

use super::subscription_status::{Standing, served};
use crate::api::Call;
use crate::api::answer::Answer;
use crate::api::operation::{Invocation, Level, Work};
use crate::api::operations::{Input, Takes};
use crate::api::read;
use crate::error::Failure;
use crate::subscriptions::Content;
use crate::subscriptions::notification::{Kind, bundle};

/// Events in one answer. Who wants more asks again from the last number on.
const EVENTS_MAX: usize = 1000;

const TAKES: Takes = Takes {
    operation: "$events",
    once: &["eventsSinceNumber", "eventsUntilNumber", "content"],
    ..Takes::NOTHING
};

/// `GET /Subscription/1/$events?eventsSinceNumber=…&eventsUntilNumber=…&content=…`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(events(call, invocation))
}

async fn events(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let subscriptions = served(call)?;
    let Level::Instance(key) = invocation.level else {
        return Err(Failure::invalid("$events is called on one subscription."));
    };
    let input = Input::read(call, invocation.body).await?;
    TAKES.check(call, &input)?;
    let number = |name: &str, otherwise: i64| match input.text(name) {
        None => Ok(otherwise),
        Some(text) => text
            .parse::<i64>()
            .ok()
            .filter(|number| *number >= 0)
            .ok_or_else(|| Failure::invalid(format!("{name} is a whole number."))),
    };
    let (from, until) = (number("eventsSinceNumber", 1)?, number("eventsUntilNumber", i64::MAX)?);
    let subscription = read::living(call, &key).await?;
    let standing = Standing::of(subscriptions, &subscription).await?;
    let content = match input.text("content").as_deref() {
        None => standing.content,
        Some("empty") => Content::Empty,
        Some("id-only") => Content::IdOnly,
        Some("full-resource") => Content::Full,
        Some(_) => return Err(Failure::invalid("content is empty, id-only or full-resource.")),
    };
    let numbered = subscriptions.register().events(&key.id, from, until, EVENTS_MAX).await;
    let numbered = numbered.map_err(|error| {
        tracing::error!(%error, "The events of a subscription cannot be read.");
        Failure::unavailable("The events of subscriptions cannot be read now.")
    })?;
    let positions: Vec<Position> = numbered.iter().map(|event| event.position).collect();
    let numbers: HashMap<Position, i64> =
        numbered.iter().map(|event| (event.position, event.number)).collect();
    // Fewer where their bodies are large: the last number says where to go on.
    let found = call.service.log.fetch_page(&positions).await?.events;
    let found: Vec<(i64, Event)> =
        found.into_iter().filter_map(|event| Some((numbers.get(&event.position).copied()?, event))).collect();
    let told = standing.told(subscriptions, &key.id, Kind::QueryEvent);
    Ok(Answer::ok(bundle(&told, content, &found)))
}
