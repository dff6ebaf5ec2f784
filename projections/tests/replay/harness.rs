//! The check that every projection has to pass: the same digest in whatever way the events come.

use std::time::Duration;

use anamnesis_engines::testing::postgres;
use anamnesis_events::{Event, Position};
use anamnesis_projections::search::LOG_OF_RECORDINGS as LOG;
use anamnesis_projections::{
    Database, DatabaseOptions, Parked, Projection, Runner, RunnerOptions, Switch, Versions,
};
use tokio::sync::watch;

use crate::dice::Dice;
use crate::ways::Awkward;

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A projection, and how to tell what it has written.
pub(crate) trait Subject {
    type Projection: Projection;

    fn projection(&self, version: i32) -> Self::Projection;

    /// Equal for equal rows.
    async fn digest(&self, database: &Database, url: &str, version: i32) -> String;
}

/// What one way came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) digest: String,
    /// What is parked, as position and resource.
    pub(crate) parked: Vec<(u64, String)>,
}

/// The outcome that all ways agree on, or each way with its own.
pub(crate) type Verdict = Result<Outcome, Vec<(&'static str, Outcome)>>;

/// Has the events written in every way, in a database of their own.
pub(crate) async fn check<S: Subject>(subject: &S, events: &[Event], dice: &mut Dice) -> Verdict {
    let url = postgres().await.fresh_database().await;
    let database = Database::new(&url, &DatabaseOptions::default()).unwrap();
    let first = subject.projection(1);
    let versions = Versions::open(&database, first.name(), LOG).await.unwrap();
    let schema = first.schema();
    // The first version is the one that readers use; it goes on to be switched away from.
    let active = versions.active_from(schema, first.inputs()).await.unwrap();
    let bench = Bench { subject, url, database, versions, schema, events };
    let outcomes = vec![
        ("at once", bench.at_once().await),
        ("one by one", bench.cut(dice.split(), 1, 1).await),
        ("in random batches", bench.cut(dice.split(), 40, 60).await),
        ("some twice", bench.repeated(dice.split()).await),
        ("by two at once", bench.by_two(dice.split()).await),
        ("with restarts", bench.restarted(dice.split()).await),
        ("switched in the middle", bench.switched(active, dice.split()).await),
    ];
    let agreed = outcomes[0].1.clone();
    if outcomes.iter().all(|(_, outcome)| *outcome == agreed) { Ok(agreed) } else { Err(outcomes) }
}

struct Bench<'a, S> {
    subject: &'a S,
    url: String,
    database: Database,
    versions: Versions,
    schema: i32,
    events: &'a [Event],
}

impl<S: Subject> Bench<'_, S> {
    fn last(&self) -> Position {
        self.events.last().map_or(Position::ZERO, |event| event.position)
    }

    /// The position up to which projections come with events up to `gate`: bundles are not cut.
    fn whole_until(&self, gate: Position) -> Position {
        let whole = self.events.iter().rfind(|event| event.position <= gate && event.ends_group());
        whole.map_or(Position::ZERO, |event| event.position)
    }

    async fn run(&self, version: i32, source: Awkward, batch_events_max: usize) -> Runner {
        let options = RunnerOptions { batch_events_max, ..RunnerOptions::default() };
        let projection = self.subject.projection(version);
        Runner::start(self.database.clone(), projection, source, LOG, options).await.unwrap()
    }

    async fn reach(&self, runner: &Runner, position: Position) {
        runner.progress().wait_for(position, PATIENCE).await.unwrap();
    }

    async fn outcome(&self, runner: &Runner) -> Outcome {
        self.reach(runner, self.last()).await;
        let digest = self.subject.digest(&self.database, &self.url, runner.progress().version()).await;
        let parked: Vec<Parked> = runner.parked(Position::ZERO, 1000).await.unwrap();
        let parked = parked.iter().map(|parked| (parked.position.get(), parked.key.to_string())).collect();
        runner.stop().await;
        Outcome { digest, parked }
    }

    async fn scratch(&self) -> i32 {
        let projection = self.subject.projection(1);
        self.versions.scratch_from(self.schema, projection.inputs()).await.unwrap()
    }

    fn open(&self, dice: Dice, cut_max: usize) -> (watch::Sender<Position>, Awkward) {
        let (gate, opened) = watch::channel(self.last());
        (gate, Awkward::new(self.events, opened, dice, cut_max))
    }

    async fn at_once(&self) -> Outcome {
        let (gate, opened) = watch::channel(self.last());
        let all = self.events.len().max(1);
        // Cut at the end only.
        let source = Awkward::whole(self.events, opened);
        let outcome = self.outcome(&self.run(self.scratch().await, source, all).await).await;
        drop(gate);
        outcome
    }

    async fn cut(&self, mut dice: Dice, cut_max: usize, batch_max: usize) -> Outcome {
        let batch = dice.between(1, batch_max);
        let (_gate, source) = self.open(dice, cut_max);
        self.outcome(&self.run(self.scratch().await, source, batch).await).await
    }

    async fn repeated(&self, dice: Dice) -> Outcome {
        let (_gate, source) = self.open(dice, 9);
        self.outcome(&self.run(self.scratch().await, source.repeating(), 20).await).await
    }

    /// Two processes write the same version: each batch is offered twice.
    async fn by_two(&self, mut dice: Dice) -> Outcome {
        let version = self.scratch().await;
        let ((_gate, one), (_other_gate, other)) = (self.open(dice.split(), 5), self.open(dice.split(), 11));
        let one = self.run(version, one, 5).await;
        let other = self.run(version, other, 11).await;
        self.reach(&other, self.last()).await;
        let outcome = self.outcome(&one).await;
        other.stop().await;
        outcome
    }

    /// Stopped and started again, also when half of a bundle has been read.
    async fn restarted(&self, mut dice: Dice) -> Outcome {
        let version = self.scratch().await;
        let (gate, opened) = watch::channel(Position::ZERO);
        let mut stops: Vec<u64> = (0..4).map(|_| dice.between(1, self.events.len().max(1)) as u64).collect();
        stops.sort_unstable();
        for stop in stops.into_iter().map(Position::new) {
            let source = Awkward::new(self.events, opened.clone(), dice.split(), 30);
            let runner = self.run(version, source, dice.between(1, 30)).await;
            gate.send_replace(stop);
            self.reach(&runner, self.whole_until(stop)).await;
            runner.stop().await;
        }
        gate.send_replace(self.last());
        let source = Awkward::new(self.events, opened, dice, 30);
        self.outcome(&self.run(version, source, 30).await).await
    }

    /// Another version is built beside the active one and takes its place, while events go on to come.
    async fn switched(&self, active: i32, mut dice: Dice) -> Outcome {
        let gates: [usize; 2] =
            [dice.between(1, self.events.len().max(1)), dice.between(1, self.events.len().max(1))];
        let [first, second] =
            [gates[0].min(gates[1]), gates[0].max(gates[1])].map(|gate| Position::new(gate as u64));
        let (gate, opened) = watch::channel(first);
        let source = |dice: Dice| Awkward::new(self.events, opened.clone(), dice, 25);
        let old = self.run(active, source(dice.split()), 17).await;
        self.reach(&old, self.whole_until(first)).await;
        let (number, is_new) = self.versions.build(self.schema, None, true).await.unwrap();
        assert!(is_new);
        let new = self.run(number, source(dice.split()), 23).await;
        gate.send_replace(second);
        self.reach(&new, self.whole_until(second)).await;
        assert_eq!(self.versions.switch(number, true).await.unwrap(), Switch::Done);
        old.stop().await;
        gate.send_replace(self.last());
        self.outcome(&new).await
    }
}
