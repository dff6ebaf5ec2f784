//! A small writer of compact JSON text that keeps number literals as they are meant.

use std::fmt::{self, Write as _};

/// A decimal with a fixed number of places, so that `6.10` is written as `6.10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub(super) struct Decimal {
    scaled: i64,
    places: u8,
}

impl Decimal {
    /// `value` rounded (half up) to `places` decimal places.
    pub(super) fn new(value: f64, places: u8) -> Self {
        let scaled = (value * Self::unit(places) as f64 + 0.5).floor() as i64;
        Self { scaled, places }
    }

    /// The value as it was rounded, for calculations that must agree with what was written.
    pub(super) fn value(self) -> f64 {
        self.scaled as f64 / Self::unit(self.places) as f64
    }

    fn unit(places: u8) -> i64 {
        (0..places).fold(1, |unit, _| unit * 10)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.scaled < 0 { "-" } else { "" };
        let (unit, size) = (Self::unit(self.places).unsigned_abs(), self.scaled.unsigned_abs());
        match self.places {
            0 => write!(f, "{sign}{size}"),
            places => write!(f, "{sign}{}.{:0width$}", size / unit, size % unit, width = usize::from(places)),
        }
    }
}

/// Compact JSON text in the making. Names are constants of this module's callers and need no escape.
#[derive(Default)]
pub(super) struct Json {
    text: String,
    /// Whether the next member or item follows another one.
    continued: bool,
}

impl Json {
    /// An empty text with room for `capacity` bytes.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self { text: String::with_capacity(capacity), continued: false }
    }

    /// The text written so far.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    /// A member whose value is an object.
    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.name(name);
        self.wrap('{', '}', fill);
    }

    /// A member whose value is an array.
    pub(super) fn array(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.name(name);
        self.wrap('[', ']', fill);
    }

    /// A member whose value is an array of one object.
    pub(super) fn list_of_one(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.array(name, |json| json.item(fill));
    }

    /// An object as an item of an array, or as the whole text.
    pub(super) fn item(&mut self, fill: impl FnOnce(&mut Self)) {
        self.comma();
        self.wrap('{', '}', fill);
    }

    /// A string as an item of an array.
    pub(super) fn item_string(&mut self, value: &str) {
        self.comma();
        self.quoted(value);
    }

    /// A string member, escaped as RFC 8259 section 7 wants it.
    pub(super) fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        self.quoted(value);
    }

    /// A string member made of something whose text needs no escape: dates, ids, codes.
    pub(super) fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        self.text.push('"');
        self.push_display(value);
        self.text.push('"');
    }

    /// A number member, with the literal that `value` displays as.
    pub(super) fn number(&mut self, name: &str, value: impl fmt::Display) {
        self.name(name);
        self.push_display(value);
    }

    /// A boolean member.
    pub(super) fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.text.push_str(if value { "true" } else { "false" });
    }

    fn push_display(&mut self, value: impl fmt::Display) {
        // Writing into a String cannot fail, and the values' own Display never does.
        let _ = write!(self.text, "{value}");
    }

    fn wrap(&mut self, open: char, close: char, fill: impl FnOnce(&mut Self)) {
        self.text.push(open);
        self.continued = false;
        fill(self);
        self.text.push(close);
        self.continued = true;
    }

    fn name(&mut self, name: &str) {
        self.comma();
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    fn comma(&mut self) {
        if self.continued {
            self.text.push(',');
        }
        self.continued = true;
    }

    fn quoted(&mut self, value: &str) {
        self.text.push('"');
        for letter in value.chars() {
            match letter {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                control if control < ' ' => self.push_display(format_args!("\\u{:04x}", control as u32)),
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_places() {
        let text = |value, places| Decimal::new(value, places).to_string();
        assert_eq!(text(6.1, 2), "6.10");
        assert_eq!(text(36.95, 1), "37.0");
        assert_eq!(text(0.05, 2), "0.05");
        assert_eq!(text(141.49, 0), "141");
        assert_eq!(text(-0.26, 1), "-0.3");
        assert!((Decimal::new(2.049, 1).value() - 2.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_written_is_json_with_commas_and_escapes_in_place() {
        let mut json = Json::with_capacity(64);
        json.item(|json| {
            json.string("a", "quote \" slash \\ line\n bell \u{7} 漢字");
            json.array("b", |json| {
                json.item(|_| {});
                json.item(|json| json.number("c", Decimal::new(1.5, 2)));
                json.item_string("d");
            });
            json.list_of_one("e", |json| json.boolean("f", false));
            json.object("g", |json| json.plain("h", 7));
        });
        let text = String::from_utf8(json.into_bytes()).unwrap();
        assert!(text.contains("\"c\":1.50"), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["a"], "quote \" slash \\ line\n bell \u{7} 漢字");
        assert_eq!(value["b"][2], "d");
        assert_eq!(value["e"][0]["f"], false);
        assert_eq!(value["g"]["h"], "7");
    }
}
