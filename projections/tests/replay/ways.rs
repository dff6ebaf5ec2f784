//! Feeds that give the same events in awkward ways: cut anywhere, some of them twice, held back at a gate.

use std::sync::{Arc, Mutex};

use anamnesis_events::{Event, Feed, FeedError, LogError, Position};
use anamnesis_projections::Source;
use tokio::sync::watch;

use crate::dice::Dice;

/// Events behind a gate, cut at random.
#[derive(Clone)]
pub(crate) struct Awkward {
    events: Arc<[Event]>,
    /// Nothing behind this position is given.
    gate: watch::Receiver<Position>,
    dice: Arc<Mutex<Dice>>,
    /// The most events that are given at once.
    cut_max: usize,
    /// Whether events are given again.
    repeats: bool,
    /// Whether all are given that are asked for.
    whole: bool,
}

impl Awkward {
    pub(crate) fn new(events: &[Event], gate: watch::Receiver<Position>, dice: Dice, cut_max: usize) -> Self {
        Self {
            events: events.into(),
            gate,
            dice: Arc::new(Mutex::new(dice)),
            cut_max,
            repeats: false,
            whole: false,
        }
    }

    /// Everything at once.
    pub(crate) fn whole(events: &[Event], gate: watch::Receiver<Position>) -> Self {
        Self { whole: true, ..Self::new(events, gate, Dice::of(0), usize::MAX) }
    }

    pub(crate) fn repeating(self) -> Self {
        Self { repeats: true, ..self }
    }
}

pub(crate) struct AwkwardFeed {
    source: Awkward,
    after: Position,
}

impl Feed for AwkwardFeed {
    async fn next(&mut self, max: usize) -> Result<Vec<Event>, FeedError> {
        let after = self.after;
        let gate = self.source.gate.wait_for(|gate| *gate > after).await;
        let Ok(gate) = gate.map(|gate| *gate) else { return Err(FeedError::Closed) };
        let (cut, again) = {
            let mut dice = self.source.dice.lock().unwrap();
            let cut = if self.source.whole { max } else { dice.between(1, self.source.cut_max.min(max)) };
            (cut, dice.between(0, 5) as u64)
        };
        let begin = match self.source.repeats {
            true => Position::new(after.get().saturating_sub(again)),
            false => after,
        };
        let wanted = |event: &&Event| event.position > begin && event.position <= gate;
        let cut = cut + usize::try_from(after.get() - begin.get()).unwrap();
        let mut events: Vec<Event> = self.source.events.iter().filter(wanted).take(cut).cloned().collect();
        if events.is_empty() {
            // The gate stands behind the last event.
            return std::future::pending().await;
        }
        if self.source.repeats {
            // And once more within the same delivery.
            events.extend(events.clone());
        }
        self.after = events.last().unwrap().position;
        Ok(events)
    }

    fn position(&self) -> Position {
        self.after
    }
}

impl Source for Awkward {
    type Feed = AwkwardFeed;

    fn feed(&self, after: Position) -> AwkwardFeed {
        AwkwardFeed { source: self.clone(), after }
    }

    async fn fetch(&self, positions: &[Position]) -> Result<Vec<Event>, LogError> {
        let find = |wanted: &Position| self.events.iter().find(|event| event.position == *wanted).cloned();
        Ok(positions.iter().filter_map(find).collect())
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.gate.clone()
    }

    async fn end(&self) -> Result<Position, LogError> {
        Ok(self.events.last().map_or(Position::ZERO, |event| event.position))
    }
}
