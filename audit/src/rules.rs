//! Rules: what is unusual about the accesses of one principal, told from the records alone.
//!
//! Pure: the same records give the same alerts. What is remembered of a principal, and of how many, is bounded; the one that
//! was not seen for longest is forgotten first.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use chrono::{DateTime, Datelike, Timelike, Utc, Weekday};
use chrono_tz::Tz;

use crate::token::{Of, token};
use crate::{Number, Outcome, Record, Recorded};

/// The purpose of use of an emergency (HL7 v3 ActReason).
pub const BREAK_GLASS: &str = "BTG";

/// Interactions that give out much at once. The beginning of one counts, not its end.
const BULK: [&str; 4] = ["$export", "$export-file", "$events", "history-system"];

/// When something is unusual.
#[derive(Debug, Clone)]
pub struct RuleOptions {
    /// So many patients within `patients_window` are many.
    pub patients_max: usize,
    /// See `patients_max`.
    pub patients_window: Duration,
    /// So many refusals within `refused_window` are a burst.
    pub refused_max: usize,
    /// See `refused_max`.
    pub refused_window: Duration,
    /// The hours of work, from the first to before the second, on the days from Monday to Friday.
    pub work_hours: (u32, u32),
    /// Where these hours are.
    pub zone: Tz,
    /// After an alert, the same about the same principal is not told again for so long.
    pub quiet: Duration,
    /// Principals that are remembered.
    pub principals_max: usize,
}

impl Default for RuleOptions {
    fn default() -> Self {
        Self {
            patients_max: 100,
            patients_window: Duration::from_secs(600),
            refused_max: 20,
            refused_window: Duration::from_secs(300),
            work_hours: (7, 20),
            zone: Tz::UTC,
            quiet: Duration::from_secs(900),
            principals_max: 10_000,
        }
    }
}

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Many patients in a short time.
    ManyPatients,
    /// Many refusals in a short time.
    RefusedBurst,
    /// Much given out at once outside the hours of work.
    AfterHoursExport,
    /// An emergency access.
    BreakGlass,
}

impl Rule {
    /// Its name in subjects and types of messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ManyPatients => "many-patients",
            Self::RefusedBurst => "refused-burst",
            Self::AfterHoursExport => "after-hours-export",
            Self::BreakGlass => "break-glass",
        }
    }
}

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The rule that it is of.
    pub rule: Rule,
    /// The record that made it so.
    pub number: Number,
    /// When that was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The principal of the record.
    pub subject: String,
    /// Who vouches for it.
    pub issuer: Option<String>,
    /// Its application.
    pub client: Option<String>,
    /// How many patients or refusals there were; 1 where nothing is counted.
    pub count: usize,
}

/// What is remembered to apply the rules.
#[derive(Debug)]
pub struct Rules {
    options: RuleOptions,
    principals: HashMap<String, Seen>,
}

/// What a principal has done lately.
#[derive(Debug, Default)]
struct Seen {
    last: i64,
    /// When each patient was seen last, in microseconds.
    patients: HashMap<i64, i64>,
    refused: VecDeque<i64>,
    told: HashMap<Rule, i64>,
}

impl Rules {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(options: RuleOptions) -> Self {
        Self { options, principals: HashMap::new() }
    }

    /// Applies other rules from the next record on. What was seen stays seen.
    pub fn follow(&mut self, options: RuleOptions) {
        self.options = options;
    }

    /// What is to be told of a record, given those before.
    pub fn see(&mut self, recorded: &Recorded) -> Vec<Alert> {
        let record = &recorded.record;
        let now = recorded.recorded_at.timestamp_micros();
        self.make_room();
        let options = &self.options;
        let seen = self.principals.entry(principal(record)).or_default();
        seen.last = now;
        let counted = [
            (Rule::ManyPatients, seen.patients(options, record, now)),
            (Rule::RefusedBurst, seen.refused(options, record, now)),
            (Rule::AfterHoursExport, usize::from(is_after_hours(options, recorded))),
            (Rule::BreakGlass, usize::from(record.purpose.as_deref() == Some(BREAK_GLASS))),
        ];
        let quiet = micros(options.quiet);
        let mut alerts = Vec::new();
        for (rule, count) in counted {
            let is_told = seen.told.get(&rule).is_some_and(|told| now - told < quiet);
            if count == 0 || is_told {
                continue;
            }
            seen.told.insert(rule, now);
            alerts.push(Alert {
                rule,
                number: recorded.number,
                recorded_at: recorded.recorded_at,
                subject: record.agent.subject.to_string(),
                issuer: record.agent.issuer.as_deref().map(str::to_owned),
                client: record.agent.client.as_deref().map(str::to_owned),
                count,
            });
        }
        alerts
    }

    /// Forgets a tenth of the principals when there are too many: those that were not seen for longest.
    fn make_room(&mut self) {
        if self.principals.len() < self.options.principals_max.max(1) {
            return;
        }
        let mut times: Vec<i64> = self.principals.values().map(|seen| seen.last).collect();
        times.sort_unstable();
        let oldest = times.get(times.len() / 10).copied().unwrap_or(i64::MAX);
        self.principals.retain(|_, seen| seen.last > oldest);
    }
}

impl Seen {
    /// How many patients there were lately, once they are too many.
    fn patients(&mut self, options: &RuleOptions, record: &Record, now: i64) -> usize {
        if record.outcome != Outcome::Success || record.patients.is_empty() {
            return 0;
        }
        self.patients.extend(record.patients.iter().map(|patient| (token(Of::Patient, patient), now)));
        let begin = now - micros(options.patients_window);
        // Looked through only when it matters, and never more than is remembered.
        if self.patients.len() + usize::try_from(record.patients_more).unwrap_or(usize::MAX)
            < options.patients_max
        {
            return 0;
        }
        self.patients.retain(|_, seen| *seen > begin);
        let count = self.patients.len().saturating_add(record.patients_more as usize);
        if count < options.patients_max {
            return 0;
        }
        self.patients.clear();
        count
    }

    /// How many refusals there were lately, once they are too many.
    fn refused(&mut self, options: &RuleOptions, record: &Record, now: i64) -> usize {
        if !matches!(record.status, 401 | 403) || record.entry.is_some() {
            return 0;
        }
        self.refused.push_back(now);
        let begin = now - micros(options.refused_window);
        while self.refused.front().is_some_and(|time| *time <= begin) {
            self.refused.pop_front();
        }
        if self.refused.len() < options.refused_max {
            return 0;
        }
        let count = self.refused.len();
        self.refused.clear();
        count
    }
}

/// Who it is: of whoever could not say, the address.
fn principal(record: &Record) -> String {
    let agent = &record.agent;
    let issuer = agent.issuer.as_deref().unwrap_or_default();
    match record.status {
        401 => format!("\n{}", agent.address.as_deref().unwrap_or_default()),
        _ => format!("{issuer}\n{}", agent.subject),
    }
}

fn is_after_hours(options: &RuleOptions, recorded: &Recorded) -> bool {
    let record = &recorded.record;
    if record.outcome != Outcome::Success || !BULK.contains(&record.subtype.as_str()) {
        return false;
    }
    let local = recorded.recorded_at.with_timezone(&options.zone);
    let is_weekend = matches!(local.weekday(), Weekday::Sat | Weekday::Sun);
    let (begin, end) = options.work_hours;
    is_weekend || !(begin..end).contains(&local.hour())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
