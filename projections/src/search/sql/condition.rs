//! Criteria as conditions of SQL, over a row `m` of the resources or of the superseded ones.

use super::{Statement, Value};
use crate::search::atom::{Atom, Criterion};
use crate::search::key::pieces_of;
use crate::search::near::{EAST, PARTS, RADIUS};
use crate::search::span::SpanBox;
use crate::search::string::BEYOND;
use crate::search::tables::WIDE;

/// Boxes that are part of a statement's text; more come as arrays, so that the statements stay few.
const BOXES_WRITTEN_OUT: usize = 2;

impl Criterion {
    /// Whether the token index can find the criterion's resources.
    pub(in crate::search) fn is_indexed_token(&self) -> bool {
        !self.negated && !self.any.is_empty() && self.tokens().is_some()
    }

    /// Whether the table of texts can.
    pub(in crate::search) fn is_indexed_text(&self) -> bool {
        !self.negated
            && !self.any.is_empty()
            && self.any.iter().all(|atom| matches!(atom, Atom::Starts { .. }))
    }

    /// Whether it is about the time of the last update, which bounds a part of the log.
    pub(in crate::search) fn is_indexed_time(&self) -> bool {
        self.times().is_some()
    }

    /// The times that hold all that the criterion asks for, in microseconds, both ends included.
    pub(in crate::search) fn times(&self) -> Option<(i64, i64)> {
        if self.negated || self.any.is_empty() {
            return None;
        }
        let ends = |atom: &Atom| match atom {
            Atom::Recorded { low, high } => Some((*low, *high)),
            _ => None,
        };
        let ends: Vec<(i64, i64)> = self.any.iter().map(ends).collect::<Option<_>>()?;
        ends.into_iter().reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    /// Whether the table of spans can.
    pub(in crate::search) fn is_indexed_span(&self) -> bool {
        let is_in_table = |atom: &Atom| match atom {
            Atom::Span(span) => span.in_table,
            Atom::All(all) => all.iter().any(|one| boxes_of(one).is_some()),
            _ => false,
        };
        !self.negated && !self.any.is_empty() && self.any.iter().all(is_in_table)
    }
}

/// The boxes of a criterion that consists of such as can be found in the table of spans.
fn boxes_of(criterion: &Criterion) -> Option<Vec<SpanBox>> {
    let one = |atom: &Atom| match atom {
        Atom::Span(span) if span.in_table => Some(*span),
        _ => None,
    };
    let boxes: Vec<SpanBox> = criterion.any.iter().map(one).collect::<Option<_>>()?;
    (!criterion.negated && !boxes.is_empty()).then_some(boxes)
}

impl Statement<'_> {
    /// All criteria that consist of tokens, in the form that the token index answers.
    pub(super) fn indexed_tokens(&mut self, criteria: &[Criterion]) -> String {
        let mut all = Vec::new();
        let mut conditions = Vec::new();
        for criterion in criteria.iter().filter(|criterion| criterion.is_indexed_token()) {
            match criterion.tokens().unwrap_or_default().as_slice() {
                [token] => all.push(*token),
                any => {
                    let any = self.bind(Value::Bigs(any.to_vec()));
                    conditions.push(format!("m.tokens && {any}"));
                }
            }
        }
        if !all.is_empty() {
            let all = self.bind(Value::Bigs(all));
            conditions.insert(0, format!("m.tokens @> {all}"));
        }
        conditions.join(" AND ")
    }

    /// ` AND …` for all criteria but those that are answered already.
    pub(super) fn tests(&mut self, criteria: &[Criterion], answered: impl Fn(&Criterion) -> bool) -> String {
        let mut tests = String::new();
        for criterion in criteria.iter().filter(|criterion| !criterion.implied && !answered(criterion)) {
            let wanted = if criterion.negated { "FALSE" } else { "TRUE" };
            tests += &format!(" AND ({}) IS {wanted}", self.any_of(&criterion.any));
        }
        tests
    }

    fn any_of(&mut self, atoms: &[Atom]) -> String {
        let mut tokens = Vec::new();
        let mut spans = Vec::new();
        let mut texts: Vec<(&i64, &String)> = Vec::new();
        let mut labels = Vec::new();
        let mut conditions = Vec::new();
        for atom in atoms {
            match atom {
                Atom::Token(token) => tokens.push(*token),
                Atom::Span(span) => spans.push(*span),
                Atom::Starts { key, text } => texts.push((key, text)),
                Atom::Is { key, text } => {
                    conditions.push(self.has_text(&[*key], text, |text| format!("t.text = {text}")));
                }
                Atom::Contains { key, text } => {
                    let keys = [*key, pieces_of(*key)];
                    conditions.push(self.has_text(&keys, text, |text| format!("strpos(t.text, {text}) > 0")));
                }
                Atom::Labels(asked) => labels.push(asked),
                Atom::Join(join) => conditions.push(self.joined(join)),
                Atom::Recorded { low, high } => {
                    let (low, high) = (self.bind(Value::Big(*low)), self.bind(Value::Big(*high)));
                    conditions.push(format!("m.last_updated BETWEEN {low} AND {high}"));
                }
                Atom::Near { key, latitude, longitude, millimetres } => {
                    conditions.push(self.near(*key, (*latitude, *longitude), *millimetres));
                }
                Atom::Kind(kind) => {
                    let kind = self.bind(Value::Integer(*kind));
                    conditions.push(format!("m.kind = {kind}"));
                }
                Atom::All(all) => conditions.push(format!("(TRUE{})", self.tests(all, |_| false))),
            }
        }
        if !tokens.is_empty() {
            let tokens = self.bind(Value::Bigs(tokens));
            conditions.push(format!("m.tokens && {tokens}"));
        }
        if !spans.is_empty() {
            conditions.push(self.in_boxes(&spans));
        }
        if !labels.is_empty() {
            conditions.push(self.has_label(&labels));
        }
        if !texts.is_empty() {
            let texts = self.texts(&texts);
            conditions.push(format!("EXISTS (SELECT FROM {texts} WHERE t.log = m.log AND t.seq = m.seq)"));
        }
        if conditions.is_empty() { "FALSE".to_owned() } else { conditions.join(" OR ") }
    }

    /// A place of the resource is near another: the haversine of the angle between them is compared.
    fn near(&mut self, key: i64, (latitude, longitude): (i64, i64), millimetres: i64) -> String {
        let [key, latitude, longitude, millimetres] =
            [key, latitude, longitude, millimetres].map(|number| self.bind(Value::Big(number)));
        format!(
            "EXISTS (SELECT FROM generate_series(1, cardinality(m.spans), 3) AS i WHERE m.spans[i] = {key}
                 AND power(sind((m.spans[i + 1] - {latitude}) / {PARTS:e}::float8 / 2), 2)
                     + cosd({latitude} / {PARTS:e}::float8) * cosd(m.spans[i + 1] / {PARTS:e}::float8)
                     * power(sind((m.spans[i + 2] - {EAST} - {longitude}) / {PARTS:e}::float8 / 2), 2)
                 <= power(sin({millimetres} / 2000::float8 / {RADIUS}::float8), 2))"
        )
    }

    /// A span of the resource lies in one of the boxes.
    fn in_boxes(&mut self, boxes: &[SpanBox]) -> String {
        if boxes.len() <= BOXES_WRITTEN_OUT {
            return self.in_few_boxes(boxes);
        }
        let boxes = self.boxes(boxes);
        format!(
            "EXISTS (SELECT FROM generate_series(1, cardinality(m.spans), 3) AS i, {boxes}
                 WHERE m.spans[i] = b.key AND m.spans[i + 1] BETWEEN b.low_min AND b.low_max
                     AND m.spans[i + 2] BETWEEN b.high_min AND b.high_max)"
        )
    }

    /// The same in a form that costs half, for as many boxes as prefixes make.
    fn in_few_boxes(&mut self, boxes: &[SpanBox]) -> String {
        let mut conditions = Vec::with_capacity(boxes.len());
        for one in boxes {
            let key = self.bind(Value::Big(one.key));
            let mut condition = format!("m.spans[i] = {key}");
            for (column, (min, max)) in [("i + 1", one.low), ("i + 2", one.high)] {
                if min != i64::MIN {
                    condition += &format!(" AND m.spans[{column}] >= {}", self.bind(Value::Big(min)));
                }
                if max != i64::MAX {
                    condition += &format!(" AND m.spans[{column}] <= {}", self.bind(Value::Big(max)));
                }
            }
            conditions.push(condition);
        }
        let conditions = conditions.join(" OR ");
        format!("EXISTS (SELECT FROM generate_series(1, cardinality(m.spans), 3) AS i WHERE {conditions})")
    }

    fn boxes(&mut self, boxes: &[SpanBox]) -> String {
        let column = |end: fn(&SpanBox) -> i64| Value::Bigs(boxes.iter().map(end).collect());
        let columns = [
            self.bind(column(|one| one.key)),
            self.bind(column(|one| one.low.0)),
            self.bind(column(|one| one.low.1)),
            self.bind(column(|one| one.high.0)),
            self.bind(column(|one| one.high.1)),
        ];
        format!("unnest({}) AS b (key, low_min, low_max, high_min, high_max)", columns.join(", "))
    }

    /// Texts `t` that begin in one of these ways.
    fn texts(&mut self, beginnings: &[(&i64, &String)]) -> String {
        let table = self.tables.on(self.shelf).text;
        let keys = self.bind(Value::Bigs(beginnings.iter().map(|(key, _)| **key).collect()));
        let low = self.bind(Value::Texts(beginnings.iter().map(|(_, text)| (*text).clone()).collect()));
        let high =
            self.bind(Value::Texts(beginnings.iter().map(|(_, text)| format!("{text}{BEYOND}")).collect()));
        format!(
            "unnest({keys}, {low}, {high}) AS b (key, low, high)
             JOIN {table} AS t ON t.key = b.key AND t.text >= b.low AND t.text < b.high"
        )
    }

    fn has_text(&mut self, keys: &[i64], text: &str, test: impl Fn(&str) -> String) -> String {
        let table = self.tables.on(self.shelf).text;
        let keys: Vec<String> = keys.iter().map(|key| self.bind(Value::Big(*key))).collect();
        let (keys, text) = (keys.join(", "), self.bind(Value::Text(text.to_owned())));
        let test = test(&text);
        format!(
            "EXISTS (SELECT FROM {table} AS t WHERE t.log = m.log AND t.seq = m.seq AND t.key IN ({keys})
                 AND {test})"
        )
    }

    /// The positions of resources that may answer a criterion of texts or of spans: at least of those that do.
    pub(super) fn candidates(&mut self, criterion: &Criterion) -> String {
        let mut texts = Vec::new();
        let mut spans = Vec::new();
        for atom in &criterion.any {
            match atom {
                Atom::Starts { key, text } => texts.push((key, text)),
                Atom::Span(span) => spans.push(*span),
                Atom::All(all) => spans.extend(all.iter().find_map(boxes_of).unwrap_or_default()),
                Atom::Token(_)
                | Atom::Is { .. }
                | Atom::Contains { .. }
                | Atom::Labels(_)
                | Atom::Recorded { .. }
                | Atom::Near { .. }
                | Atom::Kind(_)
                | Atom::Join(_) => {}
            }
        }
        if !texts.is_empty() {
            let texts = self.texts(&texts);
            return format!("SELECT t.seq FROM {texts}");
        }
        // Of a box that says when spans begin, the index of beginnings finds all. Else it finds those that end late
        // enough and are not wide; the wide ones have an index of their ends.
        let is_bounded = |span: &&SpanBox| span.low.0 != i64::MIN || span.high.0 == i64::MIN;
        let bounded = spans.iter().filter(is_bounded).copied();
        let narrow = spans
            .iter()
            .filter(|span| !is_bounded(span))
            .map(|span| SpanBox { low: (span.high.0.saturating_sub(WIDE), span.low.1), ..*span });
        let by_beginning: Vec<SpanBox> = bounded
            .chain(narrow)
            .map(|span| SpanBox { low: (span.low.0, span.low.1.min(span.high.1)), ..span })
            .collect();
        let wide: Vec<SpanBox> = spans.iter().filter(|span| !is_bounded(span)).copied().collect();
        let table = &self.tables.span;
        let boxes = self.boxes(&by_beginning);
        let mut found = format!(
            "SELECT s.seq FROM {boxes} JOIN {table} AS s ON s.key = b.key AND s.low BETWEEN b.low_min AND b.low_max
                 AND s.high BETWEEN b.high_min AND b.high_max"
        );
        if !wide.is_empty() {
            let boxes = self.boxes(&wide);
            found = format!(
                "({found}) UNION ALL (SELECT s.seq FROM {boxes} JOIN {table} AS s
                     ON s.key = b.key AND s.high BETWEEN b.high_min AND b.high_max AND s.high - s.low > {WIDE}
                     AND s.low BETWEEN b.low_min AND b.low_max)"
            );
        }
        found
    }
}
