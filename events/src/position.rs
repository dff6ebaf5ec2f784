//! Positions in the log and versions of a resource: two counts that must not be mixed up.

use std::fmt;

/// The place of an event in its log: dense, from 1, in commit order.
///
/// ```
/// use anamnesis_events::Position;
/// assert_eq!(Position::ZERO.next(), Position::new(1));
/// assert!(Position::new(7) > Position::new(6));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The place before the first event.
    pub const ZERO: Position = Position(0);

    /// The position with this number.
    pub const fn new(number: u64) -> Position {
        Position(number)
    }

    /// The number of this position.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position after this one.
    pub const fn next(self) -> Position {
        Position(self.0.saturating_add(1))
    }

    /// The position `count` places after this one.
    pub const fn plus(self, count: u64) -> Position {
        Position(self.0.saturating_add(count))
    }

    /// As Postgres stores it; numbers beyond `i64::MAX` cannot be in a log and become `i64::MAX`.
    pub(crate) fn to_sql(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From a column that is never negative.
    pub(crate) fn from_sql(number: i64) -> Position {
        Position(u64::try_from(number).unwrap_or(0))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The version of a resource: 1 when it is created, one more with each write, a delete included.
///
/// ```
/// use anamnesis_events::Version;
/// assert_eq!(Version::NONE.next(), Version::new(1));
/// assert_eq!(Version::new(3).previous(), Version::new(2));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

impl Version {
    /// The state before the first version: the resource has never existed.
    pub const NONE: Version = Version(0);

    /// The version with this number.
    pub const fn new(number: u32) -> Version {
        Version(number)
    }

    /// The number of this version.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The version after this one.
    pub const fn next(self) -> Version {
        Version(self.0.saturating_add(1))
    }

    /// The version before this one; [`Version::NONE`] stays what it is.
    pub const fn previous(self) -> Version {
        Version(self.0.saturating_sub(1))
    }

    /// As Postgres stores it.
    pub(crate) fn to_sql(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }

    /// From a column that is never negative.
    pub(crate) fn from_sql(number: i32) -> Version {
        Version(u32::try_from(number).unwrap_or(0))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
