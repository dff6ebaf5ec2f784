//! Which conditions befall a person, and when.

use super::{Episode, Kind};
use crate::synth::calendar::Day;
use crate::synth::codes::conditions::acute::ACUTE;
use crate::synth::codes::conditions::chronic::CHRONIC;
use crate::synth::codes::conditions::{Acute, ByAge, Effect, Setting, Sex};
use crate::synth::dice::Dice;
use crate::synth::people::Person;

/// The chronic conditions of a person, begun at any time of their life.
pub(super) fn chronic(dice: &mut Dice, person: &Person) -> Vec<Episode> {
    let age = person.age_on(person.last_day);
    let mut episodes: Vec<Episode> = Vec::new();
    for spec in CHRONIC {
        let raised = episodes.iter().any(|other| {
            other
                .kind
                .effects()
                .iter()
                .any(|effect| *effect != Effect::None && spec.raised_by.contains(effect))
        });
        let frequency = by_age(&spec.prevalence, age) * if raised { 3 } else { 1 };
        let befalls = dice.chance(frequency.min(850));
        let fits = spec.sex.is_none_or(|sex| sex == person.sex) && age >= spec.onset_from;
        if !(befalls && fits) {
            continue;
        }
        let earliest = person.born.plus_days(spec.onset_from * 365);
        let onset = between(dice, earliest, person.last_day.plus_days(-1)).working_day();
        let onset = onset.min(person.last_day);
        episodes.push(Episode { id: dice.id(), kind: Kind::Chronic(spec), onset, end: None, recorded_at: 0 });
    }
    episodes
}

/// The passing conditions within the record that begins on `from`.
pub(super) fn acute(dice: &mut Dice, person: &Person, from: Day) -> Vec<Episode> {
    let days = person.last_day.days_since(from);
    let age = person.age_on(person.last_day);
    // Those that are seen by a doctor: adults have one every two years or so, children more.
    let pause_days = match age {
        ..6 => 300,
        6..18 => 450,
        _ => 850,
    };
    let count = dice.between(0, 1) + days / pause_days;
    let mut episodes: Vec<Episode> = Vec::new();
    for _ in 0..count {
        let onset = between(dice, from, person.last_day.plus_days(-1));
        let age = person.age_on(onset);
        let place = dice.weighted(ACUTE.iter().map(|spec| by_age(&spec.weight, age)));
        let Some(spec) = place.and_then(|place| ACUTE.get(place)) else { continue };
        let onset = if spec.icd10 == "U07.1" { onset.max(Day::of(2020, 3, 15)) } else { onset };
        let once = spec.setting != Setting::Clinic && episodes.iter().any(|other| is(other, spec));
        if !once && onset < person.last_day {
            episodes.push(episode(dice, person, spec, onset));
        }
    }
    if person.died.is_some() && dice.chance(600) {
        episodes.extend(last_illness(dice, person, from));
    }
    episodes
}

/// A pregnancy within the record, if there is one.
pub(super) fn pregnancy(dice: &mut Dice, person: &Person, from: Day) -> Option<Episode> {
    let possible = person.sex == Sex::Female && dice.chance(220);
    let onset = between(dice, from, person.last_day.plus_days(-70));
    let of_age = (19..42).contains(&person.age_on(onset)) && onset >= from;
    if !possible || !of_age || person.died.is_some() {
        return None;
    }
    let due = onset.plus_days(dice.between(266, 287));
    let end = (due < person.last_day.plus_days(-4)).then_some(due);
    Some(Episode { id: dice.id(), kind: Kind::Pregnancy, onset, end, recorded_at: 0 })
}

/// What somebody died of in hospital.
fn last_illness(dice: &mut Dice, person: &Person, from: Day) -> Option<Episode> {
    let age = person.age_on(person.last_day);
    let weights = ACUTE.iter().map(|spec| match spec.setting {
        Setting::Hospital(..) => by_age(&spec.weight, age),
        Setting::Clinic | Setting::Emergency => 0,
    });
    let spec = dice.weighted(weights).and_then(|place| ACUTE.get(place))?;
    let onset = person.last_day.plus_days(-dice.between(1, 9)).max(from);
    Some(Episode { id: dice.id(), kind: Kind::Acute(spec), onset, end: None, recorded_at: 0 })
}

fn episode(dice: &mut Dice, person: &Person, spec: &'static Acute, onset: Day) -> Episode {
    let over = onset.plus_days(dice.between(spec.lasts_days.0, spec.lasts_days.1));
    let end = (over <= person.last_day).then_some(over);
    Episode { id: dice.id(), kind: Kind::Acute(spec), onset, end, recorded_at: 0 }
}

fn is(episode: &Episode, spec: &Acute) -> bool {
    episode.kind.code().code == spec.code.code
}

/// A day in `from..=to`; `from` when the range is empty.
fn between(dice: &mut Dice, from: Day, to: Day) -> Day {
    from.plus_days(dice.between(0, to.days_since(from).max(0)))
}

/// The frequency at `age` years.
fn by_age(frequencies: &ByAge, age: i32) -> u32 {
    let age = age.clamp(0, 79);
    let (place, part) = ((age / 20) as usize, (age % 20).unsigned_abs());
    let at = |place: usize| frequencies.get(place).map_or(0, |frequency| u32::from(*frequency));
    (at(place) * (20 - part) + at(place + 1) * part) / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_change_linearly_between_the_ages_of_the_table() {
        let table = [0, 100, 300, 300, 500];
        assert_eq!(
            [0, 10, 20, 30, 50, 80, 99].map(|age| by_age(&table, age)),
            [0, 50, 100, 200, 300, 490, 490]
        );
    }
}
