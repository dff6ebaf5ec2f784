//! The number of a record: dense, from 1, in the order in which records were committed.

use std::fmt;

/// The number of a record in its log; 0 stands before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(u64);

impl Number {
    /// Before the first record.
    pub const ZERO: Number = Number(0);

    /// The record with this number.
    ///
    /// ```
    /// # use anamnesis_audit::Number;
    /// assert_eq!(Number::new(7).next().to_string(), "8");
    /// ```
    #[must_use]
    pub const fn new(number: u64) -> Number {
        Number(number)
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one behind it.
    #[must_use]
    pub const fn next(self) -> Number {
        Number(self.0.saturating_add(1))
    }

    /// As the database has it.
    pub(crate) fn to_sql(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From the database, where numbers are never negative.
    pub(crate) fn from_sql(number: i64) -> Number {
        Number(u64::try_from(number).unwrap_or(0))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
