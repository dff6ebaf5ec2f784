//! What a check found wrong: where and why, a bounded number of times.

use std::fmt;

use crate::Position;

/// The most faults that one check tells; it counts all of them. A store with more than this has one reason for them.
pub const FAULTS_KEPT_MAX: usize = 100;

/// What was compared with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The log by itself.
    Log,
    /// Where each resource stands, and who holds an identifier.
    Heads,
    /// The messages that the broker has.
    Stream,
    /// The search index.
    Search,
    /// The tables of stored terminology.
    Terminology,
}

impl Part {
    /// The word for it on a command line and in a report.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Part::Log => "log",
            Part::Heads => "heads",
            Part::Stream => "stream",
            Part::Search => "search",
            Part::Terminology => "terminology",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Something that is not as it must be. Holds nothing of a resource's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The event concerned; [`Position::ZERO`] where it is about no single one.
    pub position: Position,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Position::ZERO => formatter.write_str(&self.reason),
            position => write!(formatter, "position {position}: {}", self.reason),
        }
    }
}

/// The faults of one check: the first ones, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    kept: Vec<Fault>,
    count: u64,
}

impl Faults {
    /// Adds one.
    pub fn add(&mut self, position: Position, reason: impl Into<String>) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < FAULTS_KEPT_MAX {
            self.kept.push(Fault { position, reason: reason.into() });
        }
    }

    /// Adds those of another check.
    pub(crate) fn append(&mut self, other: Faults) {
        self.count = self.count.saturating_add(other.count);
        let room = FAULTS_KEPT_MAX.saturating_sub(self.kept.len());
        self.kept.extend(other.kept.into_iter().take(room));
    }

    /// How many there are, those that are not kept included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first ones.
    #[must_use]
    pub fn kept(&self) -> &[Fault] {
        &self.kept
    }
}
