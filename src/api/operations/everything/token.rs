//! The token of a page: as of which position the record is shown, and where the page begins.

use anamnesis_events::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// First letter of every token: another form gets another one.
const FORM: &str = "1";
/// A type, an id and some numbers.
const LENGTH_MAX: usize = 512;

/// Where in a record a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// At the n-th patient of the record, from 0.
    Patient(usize),
    /// Among the resources of the compartment of the n-th patient: behind this position.
    Compartment(usize, Position),
    /// Among the resources that those refer to, which come by name: behind this `Type/id`.
    References(String),
}

impl Place {
    /// The beginning of a record.
    pub(super) fn begin() -> Self {
        Self::Patient(0)
    }
}

/// What the link to a page carries. Opaque to clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) position: Position,
    pub(super) place: Place,
}

impl Token {
    pub(super) fn encode(&self) -> String {
        let place = match &self.place {
            Place::Patient(number) => format!("p|{number}"),
            Place::Compartment(number, after) => format!("c|{number}|{after}"),
            Place::References(after) => format!("r|{after}"),
        };
        URL_SAFE_NO_PAD.encode(format!("{FORM}|{}|{place}", self.position))
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        if text.len() > LENGTH_MAX {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let position = |text: &str| text.parse().ok().map(Position::new);
        match text.split('|').collect::<Vec<_>>().as_slice() {
            [FORM, at, "p", number] => {
                Some(Self { position: position(at)?, place: Place::Patient(number.parse().ok()?) })
            }
            [FORM, at, "c", number, after] => Some(Self {
                position: position(at)?,
                place: Place::Compartment(number.parse().ok()?, position(after)?),
            }),
            [FORM, at, "r", after] => {
                Some(Self { position: position(at)?, place: Place::References((*after).to_owned()) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_are_read_as_they_were_written(position: u64, number: usize, after: u64, name in "[A-Za-z]{1,20}/[A-Za-z0-9.-]{1,64}") {
            for place in [Place::Patient(number), Place::Compartment(number, Position::new(after)), Place::References(name)] {
                let token = Token { position: Position::new(position), place };
                prop_assert_eq!(Token::decode(&token.encode()), Some(token));
            }
        }

        #[test]
        fn anything_else_is_no_token(text: String) {
            prop_assert_eq!(Token::decode(&text), None);
        }
    }
}
