//! The index against one that is built from nothing out of the log (I4).

use std::time::{Duration, Instant};

use anamnesis_events::{Log, Position};
use anamnesis_projections::search::{CustomParameters, SearchProjection, digest};
use anamnesis_projections::{
    Database, DatabaseOptions, ProjectionError, Runner, RunnerOptions, State, Version, Versions,
};

/// How long the live index may take to have what the log has.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(60);
/// How long building from nothing may take.
const REBUILD_WITHIN: Duration = Duration::from_secs(120);

/// Compares the two. The other index comes about in batches of `batch` events.
pub(crate) async fn check(log: &Log, address: &str, batch: usize) -> Vec<String> {
    match compare(log, address, batch).await {
        Ok(violation) => violation.into_iter().collect(),
        Err(error) => vec![format!("I4: the index cannot be checked: {error}")],
    }
}

async fn compare(log: &Log, address: &str, batch: usize) -> Result<Option<String>, ProjectionError> {
    let database = Database::new(address, &DatabaseOptions::default())?;
    let versions = Versions::open(&database, SearchProjection::NAME, log.number()).await?;
    let head = log.head().await.unwrap();
    let (live, is_building) = caught_up(&versions, head).await?;
    if live.reached != head || live.parked_events > 0 || is_building {
        let building = if is_building { ", and another is still being built" } else { "" };
        return Ok(Some(format!("I4: the log ends at {head}, but the index is {live:?}{building}")));
    }
    let number = versions.scratch(SearchProjection::SCHEMA).await?;
    let projection = || SearchProjection::new(&CustomParameters::none(), log.number(), number);
    let options = RunnerOptions { batch_events_max: batch, ..RunnerOptions::default() };
    let runner = Runner::start(database.clone(), projection(), log.clone(), log.number(), options).await?;
    let built = runner.progress().wait_for(head, REBUILD_WITHIN).await;
    runner.stop().await;
    if let Err(late) = built {
        return Ok(Some(format!("I4: the index cannot be built from nothing: {late:?}")));
    }
    let shown = digest(&database, log.number(), live.number).await?;
    let rebuilt = digest(&database, log.number(), number).await?;
    versions.remove(&projection()).await?;
    let differ =
        || format!("I4: at position {head} the index is not what the log makes, in batches of {batch}");
    Ok((shown != rebuilt).then(differ))
}

/// The active version, once it has reached `head` and none is being built beside it any more, or time is up.
async fn caught_up(versions: &Versions, head: Position) -> Result<(Version, bool), ProjectionError> {
    let deadline = Instant::now() + CATCH_UP_WITHIN;
    loop {
        let all = versions.list().await?;
        let is_building = all.iter().any(|version| version.state == State::Building);
        let active = all.into_iter().find(|version| version.state == State::Active);
        let active = active.expect("an active version");
        if (active.reached >= head && !is_building) || Instant::now() > deadline {
            return Ok((active, is_building));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
