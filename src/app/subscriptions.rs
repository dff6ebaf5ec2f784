//! Subscriptions as they are configured.

use std::time::Duration;

use anamnesis_events::Operation;
use anyhow::Context;

use super::workspace::{date_equals, local_address};
use crate::config::{Settings, TopicSettings, TopicWrite, WorkspaceSettings};
use crate::subscriptions::{Allow, Subscribing, SubscriptionOptions, TopicRule};

/// How the subscriptions of a service are read.
pub(super) fn read(
    (workspace, name): (&str, &str),
    log: i16,
    (settings, workspace_settings): (&Settings, &WorkspaceSettings),
    public_url: Option<&str>,
) -> anyhow::Result<Subscribing> {
    let own = &workspace_settings.subscriptions;
    let allow =
        Allow::new(&own.allow).map_err(anyhow::Error::msg).context("subscriptions.allow cannot be used")?;
    let topics = own.topics.iter().map(|(canonical, topic)| (canonical.clone(), rule(topic))).collect();
    let options = SubscriptionOptions {
        allow,
        topics,
        date_equals: date_equals(&workspace_settings.search),
        timeout: Duration::from_secs(own.timeout_s),
        retry_max: Duration::from_secs(own.retry_max_s),
        give_up_after: Duration::from_secs(own.give_up_after_h.saturating_mul(3600)),
        ..SubscriptionOptions::default()
    };
    let base = public_url.map_or_else(|| local_address(workspace, name, settings), str::to_owned);
    Subscribing::new(log, &base, options).context("subscriptions.topics cannot be used")
}

fn rule(topic: &TopicSettings) -> TopicRule {
    let operation = |write: &TopicWrite| match write {
        TopicWrite::Create => Operation::Create,
        TopicWrite::Update => Operation::Update,
        TopicWrite::Delete => Operation::Delete,
    };
    TopicRule {
        resource: topic.resource.clone(),
        on: topic.on.iter().map(operation).collect(),
        previous: topic.previous.clone(),
        current: topic.current.clone(),
        filters: topic.filters.clone(),
    }
}
