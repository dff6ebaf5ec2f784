//! Does the exports of a service: one server at a time each, by turns, from where the last one has left off.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anamnesis_events::{LogError, Position};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::ExportOptions;
use super::job::{Cursor, Job};
use super::store::{Chunk, Noted, Step, Store, StoreError};
use super::walk::{Found, Sources, Walk, WalkError};
use crate::clock;
use crate::group::GroupError;
use crate::reads::ReadError;

/// How often a server looks for what another one has begun or left behind.
const LOOK: Duration = Duration::from_secs(1);
/// How long one export is worked on while others wait.
const TURN: Duration = Duration::from_secs(5);
/// Positions in a row of the database: eight kilobytes.
const CHUNK: usize = 1000;

/// What works on exports.
pub(super) struct Worker {
    pub(super) sources: Sources,
    pub(super) store: Store,
    pub(super) options: ExportOptions,
    pub(super) begun: Arc<Notify>,
}

/// Why an export stops.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// For now: it is tried again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, unless the log is broken.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// For good.
    #[error("all exports together have more than {0} resources")]
    TooLarge(u64),
}

impl Stopped {
    /// The status that it ends with; `None` where it is tried again.
    fn status(&self) -> Option<u16> {
        let of_log = |error: &LogError| match error {
            LogError::Broken { .. } | LogError::UnknownKind { .. } => Some(500),
            _ => None,
        };
        match self {
            Self::Store(_) => None,
            Self::TooLarge(_) => Some(413),
            Self::Walk(WalkError::Log(error)) => of_log(error),
            Self::Walk(WalkError::Group(GroupError::Read(ReadError::Log(error)))) => of_log(error),
            Self::Walk(WalkError::Group(GroupError::Read(_))) => None,
            Self::Walk(WalkError::Group(_) | WalkError::Scopes | WalkError::Filter(_)) => Some(422),
        }
    }
}

impl Worker {
    /// Works until it is told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let workspace = self.sources.log.workspace();
            match self.turn(&stop).await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, workspace, "Exports rest for a moment."),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.begun.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Works on one export for a while. False: there is none.
    async fn turn(&self, stop: &CancellationToken) -> Result<bool, Stopped> {
        self.store.expire().await?;
        let lease = clock::new_request_id();
        let Some(job) = self.store.claim(&lease, self.options.lease).await? else { return Ok(false) };
        let outcome = self.work(&job, &lease, stop).await;
        let of_job = (job.id.as_str(), lease.as_str());
        match outcome {
            Ok(()) => self.store.release(&job.id, &lease).await?,
            Err(stopped) => match stopped.status() {
                Some(status) => {
                    tracing::warn!(error = %stopped, export = %job.id, "An export cannot be done.");
                    self.store.fail(of_job, status, &stopped.to_string()).await?;
                }
                None => {
                    self.store.release(&job.id, &lease).await?;
                    return Err(stopped);
                }
            },
        }
        Ok(true)
    }

    async fn work(&self, job: &Job, lease: &str, stop: &CancellationToken) -> Result<(), Stopped> {
        let walk = Walk::open(&self.sources, job).await?;
        let mut files = Files::of(self.store.files(&job.id).await?, self.options.file_resources_max);
        let begun = clock::elapsed();
        let mut cursor: Cursor = job.cursor;
        // Each step goes on in a log that ends.
        while !stop.is_cancelled() && clock::elapsed().saturating_sub(begun) < TURN {
            let found = walk.step(cursor).await?;
            let Found { positions, gone, cursor: next, is_end, percent } = found;
            let step = Step { cursor: next, percent, gone, chunks: files.part(positions), is_end };
            let times = (self.options.lease, self.options.kept_for);
            match self.store.note((&job.id, lease), &step, times, self.options.resources_max).await? {
                Noted::Recorded if !is_end => cursor = next,
                Noted::Recorded | Noted::Lost => return Ok(()),
                Noted::TooLarge => return Err(Stopped::TooLarge(self.options.resources_max)),
            }
        }
        Ok(())
    }
}

/// Which file of its type the next resource goes to.
struct Files {
    last: BTreeMap<String, (u32, u64)>,
    resources_max: u64,
}

impl Files {
    fn of(files: Vec<super::File>, resources_max: u64) -> Self {
        // In the order of their numbers, so that the last one stays.
        let last = files.into_iter().map(|file| (file.resource_type, (file.number, file.resources)));
        Self { last: last.collect(), resources_max: resources_max.max(1) }
    }

    /// Parts positions into rows and files.
    fn part(&mut self, positions: BTreeMap<String, Vec<Position>>) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        for (resource_type, positions) in positions {
            let (number, resources) = self.last.entry(resource_type.clone()).or_insert((1, 0));
            let mut rest = positions.as_slice();
            while !rest.is_empty() {
                if *resources >= self.resources_max {
                    (*number, *resources) = (*number + 1, 0);
                }
                let room = self.resources_max.saturating_sub(*resources);
                let room = usize::try_from(room).unwrap_or(usize::MAX).min(CHUNK);
                let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
                *resources += now.len() as u64;
                chunks.push(Chunk {
                    resource_type: resource_type.clone(),
                    number: *number,
                    positions: now.to_vec(),
                });
                rest = later;
            }
        }
        chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_filled_one_after_the_other() {
        let positions = |range: std::ops::Range<u64>| range.map(Position::new).collect::<Vec<_>>();
        let of = |range| BTreeMap::from([("Patient".to_owned(), positions(range))]);
        let mut files = Files::of(Vec::new(), 2500);
        let told = |chunks: &[Chunk]| -> Vec<(u32, usize)> {
            chunks.iter().map(|chunk| (chunk.number, chunk.positions.len())).collect()
        };
        assert_eq!(told(&files.part(of(1..2301))), [(1, 1000), (1, 1000), (1, 300)]);
        assert_eq!(told(&files.part(of(2301..2801))), [(1, 200), (2, 300)]);
        let known = super::super::File { resource_type: "Patient".into(), number: 7, resources: 2500 };
        let mut files = Files::of(vec![known], 2500);
        assert_eq!(told(&files.part(of(1..2))), [(8, 1)]);
    }
}
