//! Calendar durations: the units of FHIRPath that are words and not UCUM codes.

/// A calendar duration unit (FHIRPath 2.0.0 section 4.1.8, "Time-valued Quantities").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CalendarUnit {
    /// `millisecond`
    Millisecond,
    /// `second`
    Second,
    /// `minute`
    Minute,
    /// `hour`
    Hour,
    /// `day`
    Day,
    /// `week`
    Week,
    /// `month`
    Month,
    /// `year`
    Year,
}

impl CalendarUnit {
    /// Reads the word in singular or plural.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "millisecond" | "milliseconds" => Self::Millisecond,
            "second" | "seconds" => Self::Second,
            "minute" | "minutes" => Self::Minute,
            "hour" | "hours" => Self::Hour,
            "day" | "days" => Self::Day,
            "week" | "weeks" => Self::Week,
            "month" | "months" => Self::Month,
            "year" | "years" => Self::Year,
            _ => return None,
        })
    }

    /// The word in singular.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Millisecond => "millisecond",
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The word in plural.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Millisecond => "milliseconds",
            Self::Second => "seconds",
            Self::Minute => "minutes",
            Self::Hour => "hours",
            Self::Day => "days",
            Self::Week => "weeks",
            Self::Month => "months",
            Self::Year => "years",
        }
    }

    /// The UCUM code of the definite duration that comes nearest.
    #[must_use]
    pub fn ucum(self) -> &'static str {
        match self {
            Self::Millisecond => "ms",
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
            Self::Week => "wk",
            Self::Month => "mo",
            Self::Year => "a",
        }
    }

    /// The calendar unit nearest to a UCUM code of time.
    #[must_use]
    pub fn from_ucum(code: &str) -> Option<Self> {
        Some(match code {
            "ms" => Self::Millisecond,
            "s" => Self::Second,
            "min" => Self::Minute,
            "h" => Self::Hour,
            "d" => Self::Day,
            "wk" => Self::Week,
            "mo" => Self::Month,
            "a" => Self::Year,
            _ => return None,
        })
    }

    /// True where the unit has the same length as its UCUM code: a month or a year of the calendar has no fixed length.
    #[must_use]
    pub fn is_definite(self) -> bool {
        self < Self::Month
    }
}
