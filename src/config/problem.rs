//! What is wrong with the settings: where, what was expected, and the name that was probably meant.

use std::fmt;

use super::tree::{Place, Reason, Refused};

/// The furthest that a misspelt name may be from the one that is proposed instead.
const DISTANCE_MAX: usize = 3;
/// Names that are listed where none is near.
const LISTED_MAX: usize = 24;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    message: String,
}

impl Problem {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Problem {
        Problem { place, message: message.into() }
    }

    /// What does not fit into the settings. `others` are names that may stand at the place beside those of its struct.
    pub(super) fn of(refused: Refused, others: &[&str]) -> Problem {
        let message = match refused.reason {
            Reason::UnknownName { name, known } => {
                let known: Vec<&str> = known.iter().copied().chain(others.iter().copied()).collect();
                format!("there is no setting `{name}` here{}", instead(&name, &known))
            }
            Reason::UnknownWord { word, known } => {
                format!("`{word}` is not possible{}", instead(&word, known))
            }
            Reason::Missing(name) => format!("`{name}` is missing"),
            Reason::Other(message) => message,
        };
        Problem { place: refused.place.unwrap_or_else(Place::none), message }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.place)?;
        // A variable and a flag are the setting themselves.
        if self.place.at.is_some() && !self.place.path.is_empty() {
            write!(formatter, "{}: ", self.place.path)?;
        }
        formatter.write_str(&self.message)
    }
}

/// The name that was probably meant, or all that are possible.
fn instead(name: &str, known: &[&str]) -> String {
    // A name that is so much longer cannot be near, and need not be compared letter by letter.
    let is_like = |known: &&&str| name.chars().count().abs_diff(known.chars().count()) <= DISTANCE_MAX;
    let near = known.iter().filter(is_like).map(|known| (distance(name, known), *known)).min();
    match near {
        Some((distance, near)) if distance <= DISTANCE_MAX.min(name.chars().count() / 2) => {
            format!("; did you mean `{near}`?")
        }
        _ if known.is_empty() => String::new(),
        _ => {
            let mut shown: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            shown.sort();
            shown.dedup();
            let more = if shown.len() > LISTED_MAX { ", …" } else { "" };
            shown.truncate(LISTED_MAX);
            format!("; possible are {}{more}", shown.join(", "))
        }
    }
}

/// How many letters have to be changed, put in or left out to make one name of the other (Levenshtein), whatever the
/// case and with `-` for `_`.
fn distance(one: &str, other: &str) -> usize {
    let letters = |name: &str| -> Vec<char> {
        name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (one, other) = (letters(one), letters(other));
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (b, (above, above_left)) in other.iter().zip(row.iter().skip(1).zip(&row)) {
            let left = next.last().copied().unwrap_or_default();
            next.push((above + 1).min(left + 1).min(above_left + usize::from(a != b)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_proposed_and_only_a_near_one() {
        assert_eq!(distance("listen", "listen"), 0);
        assert_eq!(distance("listem", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("page-size", "page_size"), 0);
        assert_eq!(instead("workes", &["workers", "kind"]), "; did you mean `workers`?");
        assert_eq!(instead("xy", &["workers", "kind"]), "; possible are `kind`, `workers`");
    }
}
