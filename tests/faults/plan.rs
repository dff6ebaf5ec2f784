//! The schedule of faults: which processes die or pause in which round, and after how long.

use std::fmt;
use std::time::Duration;

use crate::dice::Dice;

/// When a round's first fault comes, after the load has begun.
const FIRST_AFTER_MS: (u32, u32) = (150, 1_200);
/// When a second fault comes: while the first is being recovered from, or soon after.
const SECOND_AFTER_MS: (u32, u32) = (0, 1_500);
/// How long a process is paused.
const PAUSE_MS: (u32, u32) = (500, 2_000);
/// How long a server that starts may live: a start takes about a second.
const START_MS: (u32, u32) = (0, 1_500);

/// The same for the first start, which makes a database.
const FIRST_START_MS: (u32, u32) = (0, 5_000);

/// A process that faults happen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Server,
    /// All of its processes.
    Postgres,
    /// The one that is the others' parent: they notice a moment later.
    Postmaster,
    /// One that serves a connection, a busy one if there is: the postmaster then begins again with crash recovery.
    Backend,
    Nats,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL to all of them, one directly after the other.
    Kill(Vec<Target>),
    /// SIGSTOP, and SIGCONT a while later.
    Pause(Target, Duration),
    /// The server is killed, started, killed while it starts, and started again.
    KillStarting(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Kill(targets) => {
                let names: Vec<String> = targets.iter().map(|target| format!("{target:?}")).collect();
                write!(f, "kill {}", names.join("+"))
            }
            Fault::Pause(target, time) => write!(f, "pause {target:?} for {} ms", time.as_millis()),
            Fault::KillStarting(time) => {
                write!(f, "kill Server, again {} ms after its start", time.as_millis())
            }
        }
    }
}

/// One round: faults, each a while after the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Round {
    pub(crate) number: u32,
    /// Whether the index is being built again while the faults happen.
    pub(crate) rebuilds: bool,
    pub(crate) faults: Vec<(Duration, Fault)>,
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults = self.faults.iter().map(|(after, fault)| format!("{} ms: {fault}", after.as_millis()));
        let rebuilds = if self.rebuilds { "during a rebuild, " } else { "" };
        write!(f, "round {}: {rebuilds}{}", self.number, faults.collect::<Vec<_>>().join(", then "))
    }
}

/// The rounds of a run. The first ones have at least one fault of every kind, in a drawn order of targets.
pub(crate) fn rounds(seed: u64, count: u32) -> Vec<Round> {
    let mut dice = Dice::new(seed, 0);
    (1..=count)
        .map(|number| {
            let first = fault_of(number, &mut dice);
            let mut faults = vec![(draw(&mut dice, FIRST_AFTER_MS), first.clone())];
            if dice.chance(35) {
                let second = if dice.chance(50) { first } else { any(&mut dice) };
                faults.push((draw(&mut dice, SECOND_AFTER_MS), second));
            }
            let rebuilds = matches!(number, 1 | 5) || dice.chance(30);
            Round { number, rebuilds, faults }
        })
        .collect()
}

/// How long the first start on a fresh folder lives before it is killed, if it is; before this round.
pub(crate) fn first_start(seed: u64, round: u32) -> Option<Duration> {
    let mut dice = Dice::new(seed, u64::from(round) * 100 + 98);
    dice.chance(50).then(|| draw(&mut dice, FIRST_START_MS))
}

fn fault_of(number: u32, dice: &mut Dice) -> Fault {
    match number {
        1 => Fault::Kill(vec![Target::Server]),
        2 => Fault::Kill(vec![Target::Postgres]),
        3 => Fault::Kill(vec![Target::Nats]),
        4 => pair(dice),
        5 => everything(dice),
        6 => pause(dice),
        _ => any(dice),
    }
}

fn any(dice: &mut Dice) -> Fault {
    match dice.below(20) {
        0..=2 => Fault::Kill(vec![Target::Server]),
        3..=4 => Fault::Kill(vec![Target::Postgres]),
        5..=6 => Fault::Kill(vec![dice.pick(&[Target::Postmaster, Target::Backend])]),
        7 => Fault::Kill(vec![Target::Nats]),
        8..=9 => Fault::Kill(vec![Target::Backend, dice.pick(&[Target::Server, Target::Nats])]),
        10..=12 => pair(dice),
        13..=14 => everything(dice),
        15..=16 => Fault::KillStarting(draw(dice, START_MS)),
        _ => pause(dice),
    }
}

fn pair(dice: &mut Dice) -> Fault {
    let [server, postgres, nats] = [Target::Server, Target::Postgres, Target::Nats];
    let pairs = [
        [server, postgres],
        [postgres, server],
        [server, nats],
        [nats, server],
        [postgres, nats],
        [nats, postgres],
    ];
    Fault::Kill(dice.pick(&pairs).to_vec())
}

fn everything(dice: &mut Dice) -> Fault {
    let mut targets = vec![Target::Server, Target::Postgres, Target::Nats];
    for place in (1..targets.len()).rev() {
        targets.swap(place, dice.below(place as u32 + 1) as usize);
    }
    Fault::Kill(targets)
}

fn pause(dice: &mut Dice) -> Fault {
    let target = dice.pick(&[Target::Postgres, Target::Nats, Target::Server]);
    Fault::Pause(target, draw(dice, PAUSE_MS))
}

fn draw(dice: &mut Dice, (low, high): (u32, u32)) -> Duration {
    Duration::from_millis(dice.between(low, high).into())
}

#[test]
fn the_same_seed_gives_the_same_schedule() {
    assert_eq!(rounds(7, 40), rounds(7, 40));
    assert_ne!(rounds(7, 40), rounds(8, 40));
    assert_eq!(rounds(7, 40)[..9], rounds(7, 9), "more rounds begin as fewer do");
}

#[test]
fn the_short_form_has_every_kind_of_fault() {
    for seed in 0..50 {
        let firsts: Vec<Fault> = rounds(seed, 7).into_iter().map(|round| round.faults[0].1.clone()).collect();
        let killed = |n: usize| match &firsts[n] {
            Fault::Kill(targets) => targets.len(),
            _ => 0,
        };
        assert_eq!([0, 1, 2, 3, 4].map(killed), [1, 1, 1, 2, 3]);
        assert!(matches!(firsts[5], Fault::Pause(..)));
    }
}
