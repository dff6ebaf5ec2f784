//! What one resource is found by: its tokens, spans, folded texts and labels.

use super::key::{Class, ParameterKey, last_of};
use super::span::Span;

/// A span of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SpanEntry {
    pub(crate) key: i64,
    pub(crate) low: i64,
    pub(crate) high: i64,
    /// Also in the table of spans, where searches start and sorted pages are read from.
    pub(crate) in_table: bool,
}

/// A folded text of a family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TextEntry {
    pub(crate) key: i64,
    pub(crate) text: String,
}

/// A text of a code or of a reference, see [`super::label`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LabelEntry {
    /// The family of the parameter's labels.
    pub(crate) key: i64,
    pub(crate) text: String,
    /// Made of the two.
    pub(crate) token: i64,
}

/// Collects what a resource is found by. After [`Entries::finish`] everything is sorted and there once: two runs
/// over the same resource give the same rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    /// The `Type/id` of what `#id` is said in, until all references are taken.
    pub(crate) container: String,
    pub(crate) tokens: Vec<i64>,
    pub(crate) spans: Vec<SpanEntry>,
    pub(crate) texts: Vec<TextEntry>,
    /// Their tokens are among the others.
    pub(crate) labels: Vec<LabelEntry>,
}

impl Entries {
    pub(crate) fn token(&mut self, key: &ParameterKey, class: Class, parts: &[&str]) {
        self.tokens.push(key.of(class, parts));
    }

    pub(crate) fn span(&mut self, key: i64, span: Span, in_table: bool) {
        self.spans.push(SpanEntry { key, low: span.low, high: span.high, in_table });
    }

    pub(crate) fn text(&mut self, key: i64, text: String) {
        self.texts.push(TextEntry { key, text });
    }

    pub(crate) fn finish(&mut self) {
        self.container = String::new();
        self.labels.sort_unstable();
        self.labels.dedup();
        self.tokens.extend(self.labels.iter().map(|label| label.token));
        self.tokens.sort_unstable();
        self.tokens.dedup();
        self.add_latest_beginnings();
        self.spans.sort_unstable();
        self.spans.dedup();
        self.texts.sort_unstable();
        self.texts.dedup();
    }

    /// Where a family has several beginnings, the latest gets an entry of its own: a descending order looks for it,
    /// an ascending one takes the first entry of the family.
    fn add_latest_beginnings(&mut self) {
        self.spans.sort_unstable();
        let mut latest: Vec<SpanEntry> = Vec::new();
        for family in self.spans.chunk_by(|one, next| one.key == next.key) {
            if let [first, .., last] = family
                && first.low != last.low
            {
                latest.push(SpanEntry { key: last_of(last.key), high: last.low, in_table: false, ..*last });
            }
        }
        self.spans.append(&mut latest);
    }

    /// The spans as the main table holds them: key, low, high, key, low, high … By key and then by low, so that the
    /// first of a family has the lowest beginning.
    pub(crate) fn flat_spans(&self) -> Vec<i64> {
        self.spans.iter().flat_map(|span| [span.key, span.low, span.high]).collect()
    }

    /// Keys and texts of the labels, with a space between, in order.
    pub(crate) fn joined_labels(&self) -> Vec<String> {
        self.labels.iter().map(|label| format!("{} {}", label.key, label.text)).collect()
    }

    /// The rows of the table of spans: of those with the same beginning one, with the latest end. The table finds
    /// candidates; whether a resource really matches is decided by [`Self::flat_spans`].
    pub(crate) fn table_spans(&self) -> impl Iterator<Item = SpanEntry> + '_ {
        let followed = self.spans.iter().zip(self.spans.iter().skip(1).map(Some).chain([None]));
        followed.filter_map(|(span, next)| {
            let is_last = next.is_none_or(|next| (next.key, next.low) != (span.key, span.low));
            (is_last && span.in_table).then_some(*span)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_gets_one_row_for_each_beginning() {
        let mut entries = Entries::default();
        for (low, high) in [(5, 9), (5, 7), (1, 2), (5, 7)] {
            entries.span(1, Span { low, high }, true);
        }
        entries.span(2, Span { low: 0, high: 0 }, false);
        entries.finish();
        let latest = [last_of(1), 5, 5];
        let flat = entries.flat_spans();
        assert!(flat.chunks(3).any(|span| span == latest), "{flat:?}");
        let rest: Vec<i64> = flat.chunks(3).filter(|span| **span != latest).flatten().copied().collect();
        assert_eq!(rest, [1, 1, 2, 1, 5, 7, 1, 5, 9, 2, 0, 0]);
        let rows: Vec<_> = entries.table_spans().map(|span| (span.low, span.high)).collect();
        assert_eq!(rows, [(1, 2), (5, 9)]);
    }
}
