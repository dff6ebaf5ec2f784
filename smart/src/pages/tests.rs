//! Hostile input cannot break a page, and what is misread is not shown.

use proptest::prelude::*;

use super::html::Html;
use super::style::STYLE;

/// What a browser makes of it.
fn read(text: &str) -> String {
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#96;", "`"), ("&amp;", "&")];
    entities.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

proptest! {
    #[test]
    fn what_is_escaped_has_no_markup_and_reads_as_it_was(text in "\\PC*") {
        let escaped = Html::new().text(&text).into_string();
        prop_assert!(!escaped.contains(['<', '>', '"', '\'', '`']));
        for (at, _) in escaped.match_indices('&') {
            let rest = &escaped[at..];
            let entities = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;", "&#96;"];
            prop_assert!(entities.iter().any(|entity| rest.starts_with(entity)));
        }
        let is_turned = |c: &char| matches!(*c, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        let shown: String = text.chars().map(|c| if is_turned(&c) { '\u{FFFD}' } else { c }).collect();
        prop_assert_eq!(read(&escaped), shown);
    }

    #[test]
    fn any_characters_at_all_are_safe(characters in prop::collection::vec(any::<char>(), 0..200)) {
        let text: String = characters.into_iter().collect();
        let escaped = Html::new().name(&text).into_string();
        let inside = escaped.strip_prefix("<bdi>").and_then(|rest| rest.strip_suffix("</bdi>")).unwrap();
        let is_safe = !inside.contains(['<', '>', '"', '\'', '`', '\0', '\u{202E}', '\u{1b}']);
        prop_assert!(is_safe);
    }
}

#[test]
fn what_turns_the_direction_of_writing_is_not_shown() {
    assert_eq!(Html::new().text("a\u{202E}b\u{0}c\nd").into_string(), "a\u{FFFD}b\u{FFFD}c\nd");
}

/// The relative luminance of a colour (WCAG 2.2).
fn luminance(colour: &str) -> f64 {
    let digits = colour.trim_start_matches('#');
    let digits =
        if digits.len() == 3 { digits.chars().flat_map(|c| [c, c]).collect() } else { digits.to_owned() };
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&digits[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
}

#[test]
fn colours_are_told_apart() {
    let contrast = |one: &str, other: &str| {
        assert!(STYLE.contains(one) && STYLE.contains(other), "{one} {other}");
        let (one, other) = (luminance(one) + 0.05, luminance(other) + 0.05);
        one.max(other) / one.min(other)
    };
    for (text, ground) in [
        ("#16191d", "#fff"),
        ("#16191d", "#f3f4f6"),
        ("#16191d", "#fdf2f2"),
        ("#3d434b", "#fff"),
        ("#3d434b", "#f3f4f6"),
        ("#0a3f73", "#fff"),
        ("#8c1616", "#fff"),
    ] {
        assert!(contrast(text, ground) >= 7.0, "{text} on {ground}: {}", contrast(text, ground));
    }
    // Borders of what can be used, and the mark of where the keyboard is (1.4.11).
    for (line, ground) in [("#767b84", "#fff"), ("#8a3b00", "#fff"), ("#8a3b00", "#f3f4f6")] {
        assert!(contrast(line, ground) >= 3.0, "{line} on {ground}");
    }
}
