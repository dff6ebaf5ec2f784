//! Hints for names that are nearly right.

use super::walk::Walk;
use crate::definitions::{Definitions, Structure};

/// Names that differ by more edits than this are different words.
const EDITS_MAX: usize = 2;
/// Longer names are not compared: the cost grows with the square, and no element of R4 is longer.
const NAME_LENGTH_MAX: usize = 64;
/// Most expansions of a choice that a hint lists.
const CHOICES_MAX: usize = 12;

/// What may have been meant by a member name that the structure does not have; empty where nothing is near.
pub(super) fn for_member(walk: &Walk<'_>, structure: &Structure, name: &str) -> String {
    // A body may have a million unknown names, and a hint costs more than all other checks of a member.
    if walk.issues.is_full() {
        return String::new();
    }
    member(structure, name)
}

fn member(structure: &Structure, name: &str) -> String {
    if let Some(choice) =
        structure.elements().iter().find(|element| element.is_choice && element.name == name)
    {
        let names: Vec<&str> = choice.types.iter().take(CHOICES_MAX).map(|row| row.json_name).collect();
        let more = if choice.types.len() > CHOICES_MAX { " …" } else { "" };
        return format!("; the type is part of the name: {}{more}", names.join(" | "));
    }
    let names = structure.elements().iter().flat_map(|element| element.types.iter().map(|row| row.json_name));
    if let Some(near) = nearest(name.trim_start_matches('_'), names) {
        return format!("; is '{near}' meant?");
    }
    // valueAge, where value[x] has no Age.
    let choice = structure.elements().iter().filter(|element| element.is_choice).find(|element| {
        name.strip_prefix(element.name).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))
    });
    match choice {
        Some(choice) => format!("; {}[x] cannot have this type", choice.name),
        None => String::new(),
    }
}

/// The resource type that may have been meant; empty where nothing is near.
pub(super) fn for_resource_type(walk: &Walk<'_>, name: &str) -> String {
    if walk.issues.is_full() {
        return String::new();
    }
    resource_type(walk.definitions, name)
}

fn resource_type(definitions: &Definitions, name: &str) -> String {
    match nearest(name, definitions.resource_types().iter().copied()) {
        Some(near) => format!("; is '{near}' meant?"),
        None => String::new(),
    }
}

/// A client's name for a message: as it is where it is a plain word, else a placeholder.
pub(super) fn printable(name: &str) -> &str {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if !name.is_empty() && name.len() <= NAME_LENGTH_MAX && name.bytes().all(plain) { name } else { "…" }
}

/// The name with the fewest edits, letters of another case counting as none.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > NAME_LENGTH_MAX {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    // A short word is near to everything: one edit for each three letters.
    let allowed = EDITS_MAX.min(lower.len() / 3);
    names
        .map(|known| (edits(&lower, &known.to_ascii_lowercase()), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// Levenshtein distance over bytes.
fn edits(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, left_byte) in left.bytes().enumerate() {
        let mut diagonal = index;
        let mut before = index + 1;
        for (cell, right_byte) in row.iter_mut().skip(1).zip(right.bytes()) {
            let changed = diagonal + usize::from(left_byte != right_byte);
            diagonal = *cell;
            before = changed.min(before + 1).min(*cell + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(left.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::r4;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!((edits("kitten", "sitting"), edits("", "abc"), edits("abc", "abc")), (3, 3, 0));
        let patient = r4().structure("Patient").unwrap();
        assert_eq!(member(patient, "birthdate"), "; is 'birthDate' meant?");
        assert_eq!(member(patient, "nmae"), "");
        assert_eq!(member(patient, "adress"), "; is 'address' meant?");
        assert!(member(patient, "deceased").contains("deceasedBoolean | deceasedDateTime"));
        assert_eq!(member(patient, "favouriteColour"), "");
        let observation = r4().structure("Observation").unwrap();
        assert_eq!(member(observation, "valueAddress"), "; value[x] cannot have this type");
        assert_eq!(resource_type(r4(), "patient"), "; is 'Patient' meant?");
    }
}
