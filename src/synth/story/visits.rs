//! When a person is seen, by whom and why.

use super::{Class, Episode, Kind, Occasion, Visit};
use crate::synth::calendar::{Day, Moment};
use crate::synth::codes::conditions::Setting;
use crate::synth::dice::Dice;
use crate::synth::directory::Directory;
use crate::synth::people::Person;

/// The ages in months of the check-ups of small children.
const CHILD_CHECKUP_MONTHS: &[i32] = &[0, 1, 2, 4, 6, 9, 12, 15, 18, 24, 30, 36];

/// The days after conception of prenatal visits.
const PRENATAL_DAYS: &[i32] = &[56, 140, 224];

/// Plans all visits of the record that begins on `from`, in the order of time, and notes in `episodes` which
/// visit records them. There is at least one.
pub(super) fn plan(
    dice: &mut Dice,
    person: &Person,
    directory: &Directory,
    from: Day,
    episodes: &mut [Episode],
) -> Vec<Visit> {
    let mut days: Vec<(Day, Occasion)> = Vec::new();
    days.extend(checkups(dice, person, from).map(|day| (day, Occasion::Checkup)));
    for (number, episode) in episodes.iter().enumerate() {
        match episode.kind {
            Kind::Chronic(_) if episode.onset >= from => {
                days.push((episode.onset, Occasion::Diagnosis(number)))
            }
            Kind::Chronic(_) => {}
            Kind::Acute(spec) => {
                days.push((episode.onset, Occasion::Acute(number)));
                if let (true, Some(end)) = (spec.checked_later, episode.end) {
                    days.push((end.working_day(), Occasion::FollowUp(number)));
                }
            }
            Kind::Pregnancy => days.extend(pregnancy(episode, number)),
        }
    }
    days.extend(follow_ups(dice, person, from, episodes));
    days.retain(|(day, _)| *day <= person.last_day);
    if days.is_empty() {
        days.push((person.last_day, Occasion::Checkup));
    }
    days.sort_by_key(|(day, _)| *day);

    let hospital = directory.draw_hospital(dice);
    let mut visits: Vec<Visit> = Vec::with_capacity(days.len());
    for (day, occasion) in days {
        let setting = setting(occasion, episodes);
        let (organization, practitioner) = match setting {
            Setting::Clinic if dice.chance(800) => (person.clinic, person.doctor),
            Setting::Clinic => (person.clinic, directory.draw_practitioner(dice, person.clinic)),
            Setting::Emergency | Setting::Hospital(..) => {
                (hospital, directory.draw_practitioner(dice, hospital))
            }
        };
        let (class, start, end) = times(dice, person, day, setting);
        visits.push(Visit { id: dice.id(), occasion, class, start, end, organization, practitioner });
    }
    visits.sort_by_key(|visit| visit.start);
    for (number, visit) in visits.iter().enumerate().rev() {
        if let Some(episode) = visit.occasion.episode().and_then(|place| episodes.get_mut(place))
            && visit.start.day() >= episode.onset
            && !matches!(visit.occasion, Occasion::FollowUp(_))
        {
            episode.recorded_at = number;
        }
    }
    visits
}

/// The days of check-ups: many for small children, then one every year or two.
fn checkups(dice: &mut Dice, person: &Person, from: Day) -> impl Iterator<Item = Day> + use<> {
    let mut days: Vec<Day> = CHILD_CHECKUP_MONTHS
        .iter()
        .map(|months| person.born.plus_days(months * 3_044 / 100 + 5).working_day())
        .filter(|day| *day >= from)
        .collect();
    let grown = person.born.plus_days(4 * 365);
    let mut day = from.max(grown).plus_days(dice.between(10, 300));
    while day <= person.last_day {
        days.push(day.working_day());
        let pause = match person.age_on(day) {
            18..40 => dice.between(480, 680),
            _ => dice.between(340, 400),
        };
        day = day.plus_days(pause);
    }
    days.into_iter()
}

/// Follow-up visits for chronic conditions that are treated, one condition after the other.
fn follow_ups(dice: &mut Dice, person: &Person, from: Day, episodes: &[Episode]) -> Vec<(Day, Occasion)> {
    let treated: Vec<usize> = episodes
        .iter()
        .enumerate()
        .filter(|(_, episode)| matches!(episode.kind, Kind::Chronic(spec) if !spec.medications.is_empty()))
        .map(|(number, _)| number)
        .collect();
    let mut days = Vec::new();
    let mut turn = treated.iter().copied().cycle();
    let mut day = from.plus_days(dice.between(60, 220));
    while let (true, Some(number)) = (day <= person.last_day, turn.next()) {
        if episodes.get(number).is_some_and(|episode| episode.onset.plus_days(20) <= day) {
            days.push((day.working_day(), Occasion::FollowUp(number)));
        }
        day = day.plus_days(dice.between(190, 330));
    }
    days
}

fn pregnancy(episode: &Episode, number: usize) -> impl Iterator<Item = (Day, Occasion)> {
    let prenatal = PRENATAL_DAYS
        .iter()
        .map(move |days| (episode.onset.plus_days(*days).working_day(), Occasion::Prenatal(number)));
    prenatal.chain(episode.end.map(|day| (day, Occasion::Delivery(number))))
}

fn setting(occasion: Occasion, episodes: &[Episode]) -> Setting {
    match occasion {
        Occasion::Acute(number) => match episodes.get(number).map(|episode| episode.kind) {
            Some(Kind::Acute(spec)) => spec.setting,
            _ => Setting::Clinic,
        },
        Occasion::Delivery(_) => Setting::Hospital(1, 4),
        _ => Setting::Clinic,
    }
}

/// The class, begin and end of a visit; nothing ends after death, nor after the record.
fn times(dice: &mut Dice, person: &Person, day: Day, setting: Setting) -> (Class, Moment, Moment) {
    let (class, start, minutes) = match setting {
        Setting::Clinic => (Class::Ambulatory, 8 * 60 + 15 * dice.between(0, 35), 5 * dice.between(3, 9)),
        Setting::Emergency => (Class::Emergency, dice.between(0, 1_200), dice.between(60, 235)),
        Setting::Hospital(low, high) => {
            let days = dice.between(low, high);
            (Class::Inpatient, dice.between(0, 1_200), days * 1_440 + dice.between(-180, 180))
        }
    };
    let limit = person.died.unwrap_or(Moment::at(person.last_day, 1_439));
    let start = Moment::at(day, start).min(limit.plus_minutes(-20));
    (class, start, start.plus_minutes(minutes).min(limit))
}
