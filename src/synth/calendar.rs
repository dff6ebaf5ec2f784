//! Days and moments of a life, in the local time of the invented region.

use std::fmt;

/// A calendar day, counted from 1970-01-01 (proleptic Gregorian calendar).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(i32);

/// A second of local time, counted from 1970-01-01T00:00:00 of that same local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

/// A calendar day taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub(super) year: i32,
    pub(super) month: u32,
    pub(super) day: u32,
}

const SECONDS_A_DAY: i64 = 86_400;

impl Day {
    /// The day of a civil date. `month` is 1–12 and `day` 1–31; days past a month's end run into the next.
    pub(super) fn of(year: i32, month: u32, day: u32) -> Self {
        // Years begin in March, so that the leap day is a year's last day.
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let month = month as i32;
        let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day as i32 - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }

    /// The civil date of this day.
    pub(super) fn civil(self) -> Civil {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * month + 2) / 5 + 1) as u32;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year_of_era + i32::from(month <= 2);
        Civil { year, month: month as u32, day }
    }

    /// This day moved by `days`.
    pub(super) fn plus_days(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Days from `earlier` to this day; negative when `earlier` is later.
    pub(super) fn days_since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole years from `earlier` to this day, as an age is counted.
    pub(super) fn years_since(self, earlier: Self) -> i32 {
        let (now, then) = (self.civil(), earlier.civil());
        now.year - then.year - i32::from((now.month, now.day) < (then.month, then.day))
    }

    /// This day, or the Monday after it when it falls on a weekend.
    pub(super) fn working_day(self) -> Self {
        match self.weekday() {
            5 => self.plus_days(2),
            6 => self.plus_days(1),
            _ => self,
        }
    }

    /// 0 for Monday to 6 for Sunday.
    fn weekday(self) -> i32 {
        (self.0 + 3).rem_euclid(7)
    }

    /// Whether summer time holds: from the second Sunday of March to the first of November.
    fn in_summer_time(self) -> bool {
        let year = self.civil().year;
        let sunday_from = |day: Self| day.plus_days((6 - day.weekday()).rem_euclid(7));
        let start = sunday_from(Self::of(year, 3, 8));
        let end = sunday_from(Self::of(year, 11, 1));
        self >= start && self < end
    }
}

impl Moment {
    /// The moment `minute` minutes after midnight of `day`.
    pub(super) fn at(day: Day, minute: i32) -> Self {
        Self(i64::from(day.0) * SECONDS_A_DAY + i64::from(minute) * 60)
    }

    /// This moment moved by `minutes`.
    pub(super) fn plus_minutes(self, minutes: i32) -> Self {
        Self(self.0 + i64::from(minutes) * 60)
    }

    /// The day this moment lies in.
    pub(super) fn day(self) -> Day {
        Day(self.0.div_euclid(SECONDS_A_DAY) as i32)
    }
}

impl fmt::Display for Day {
    /// A FHIR `date` with day precision.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day } = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Moment {
    /// A FHIR `dateTime` with seconds and the region's offset, which an `instant` accepts as well.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.rem_euclid(SECONDS_A_DAY);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let offset = if self.day().in_summer_time() { "-04:00" } else { "-05:00" };
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}{offset}", self.day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_five_centuries_goes_there_and_back() {
        let mut day = Day::of(1700, 1, 1);
        assert_eq!(Day::of(1970, 1, 1), Day(0));
        while day < Day::of(2200, 1, 1) {
            let Civil { year, month, day: number } = day.civil();
            assert_eq!(Day::of(year, month, number), day);
            let next = day.plus_days(1).civil();
            assert!((next.year, next.month, next.day) > (year, month, number));
            day = day.plus_days(1);
        }
        assert_eq!(Day::of(2000, 2, 29).to_string(), "2000-02-29");
    }

    #[test]
    fn an_age_grows_on_the_birthday() {
        let born = Day::of(1980, 6, 15);
        assert_eq!(Day::of(2020, 6, 14).years_since(born), 39);
        assert_eq!(Day::of(2020, 6, 15).years_since(born), 40);
    }

    #[test]
    fn summer_time_changes_the_offset_on_sundays() {
        let noon = |year, month, day| Moment::at(Day::of(year, month, day), 720).to_string();
        assert_eq!(noon(2025, 3, 8), "2025-03-08T12:00:00-05:00");
        assert_eq!(noon(2025, 3, 9), "2025-03-09T12:00:00-04:00");
        assert_eq!(noon(2025, 11, 1), "2025-11-01T12:00:00-04:00");
        assert_eq!(noon(2025, 11, 2), "2025-11-02T12:00:00-05:00");
    }

    #[test]
    fn weekends_move_to_monday() {
        assert_eq!(Day::of(2025, 11, 22).working_day(), Day::of(2025, 11, 24));
        assert_eq!(Day::of(2025, 11, 23).working_day(), Day::of(2025, 11, 24));
        assert_eq!(Day::of(2025, 11, 24).working_day(), Day::of(2025, 11, 24));
        assert_eq!(Moment::at(Day::of(2025, 1, 1), 1430).plus_minutes(20).day(), Day::of(2025, 1, 2));
    }
}
