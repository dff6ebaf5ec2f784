//! The syntax of `_filter` (R4 search_filter.html): tests, joined by `and`, `or` and `not`, in parentheses.
//!
//! `and` and `or` are taken from left to right, none before the other, as the grammar of the specification has it.

/// Parentheses within each other.
const DEPTH_MAX: usize = 16;
/// Tests of one filter: as many as a query has parameters.
const TESTS_MAX: usize = 64;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    Test(Test),
    Not(Box<Filter>),
    And(Vec<Filter>),
    Or(Vec<Filter>),
}

/// `path operator value`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Test {
    pub(super) path: String,
    pub(super) operator: String,
    pub(super) value: String,
}

/// Reads a filter.
///
/// # Errors
/// What is wrong, and behind which character; nothing of the values.
pub(super) fn parse(text: &str) -> Result<Filter, String> {
    let mut reader = Reader { text, rest: text, depth: 0, tests: 0 };
    let filter = reader.filter()?;
    match reader.rest.is_empty() {
        true => Ok(filter),
        false => Err(reader.wanted("and, or, or the end")),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
    tests: usize,
}

impl<'a> Reader<'a> {
    fn filter(&mut self) -> Result<Filter, String> {
        let mut parts = vec![self.operand()?];
        let mut is_all = true;
        loop {
            self.skip_spaces();
            let Some(is_and) = self.connective() else { return Ok(joined(parts, is_all)) };
            if is_and != is_all {
                // All before this word is its left side.
                parts = vec![joined(parts, is_all)];
                is_all = is_and;
            }
            parts.push(self.operand()?);
        }
    }

    fn operand(&mut self) -> Result<Filter, String> {
        self.skip_spaces();
        if self.rest.starts_with('(') {
            return self.group();
        }
        let path = self.word();
        if path == "not" {
            self.skip_spaces();
            return Ok(Filter::Not(Box::new(self.group()?)));
        }
        if path.is_empty() {
            return Err(self.wanted("a parameter, not or ("));
        }
        if path.contains(['[', ']']) {
            return Err(self.wrong("filters within a path are not supported"));
        }
        self.tests += 1;
        if self.tests > TESTS_MAX {
            return Err(format!("a filter has at most {TESTS_MAX} tests"));
        }
        self.skip_spaces();
        let operator = self.word();
        if operator.is_empty() {
            return Err(self.wanted("an operator"));
        }
        self.skip_spaces();
        let value = self.value()?;
        Ok(Filter::Test(Test { path: path.to_owned(), operator: operator.to_owned(), value }))
    }

    fn group(&mut self) -> Result<Filter, String> {
        let Some(rest) = self.rest.strip_prefix('(') else { return Err(self.wanted("(")) };
        self.rest = rest;
        if self.depth >= DEPTH_MAX {
            return Err(self.wrong(&format!("more than {DEPTH_MAX} parentheses are within each other")));
        }
        self.depth += 1;
        let filter = self.filter()?;
        self.depth -= 1;
        let Some(rest) = self.rest.strip_prefix(')') else { return Err(self.wanted("and, or, or )")) };
        self.rest = rest;
        Ok(filter)
    }

    /// True for `and`, false for `or`.
    fn connective(&mut self) -> Option<bool> {
        let before = self.rest;
        match self.word() {
            "and" => Some(true),
            "or" => Some(false),
            _ => {
                self.rest = before;
                None
            }
        }
    }

    /// A JSON string, or whatever has no space and no closing parenthesis.
    fn value(&mut self) -> Result<String, String> {
        let value = match self.rest.starts_with('"') {
            true => {
                let mut strings = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
                let Some(Ok(value)) = strings.next() else {
                    return Err(self.wrong("what begins with a quotation mark is no JSON string"));
                };
                self.rest = self.rest.get(strings.byte_offset()..).unwrap_or_default();
                value
            }
            false => {
                let is_end = |character: char| character.is_whitespace() || matches!(character, ')' | ']');
                self.take(self.rest.find(is_end)).to_owned()
            }
        };
        match () {
            () if value.is_empty() => Err(self.wanted("a value")),
            // JSON can say it; no FHIR value has it, and Postgres takes it in no text.
            () if value.contains('\0') => Err(self.wrong("a value holds NUL")),
            () => Ok(value),
        }
    }

    /// What stands before the next space or parenthesis.
    fn word(&mut self) -> &'a str {
        let is_end = |character: char| character.is_whitespace() || matches!(character, '(' | ')');
        self.take(self.rest.find(is_end))
    }

    fn take(&mut self, end: Option<usize>) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len())).unwrap_or_default();
        self.rest = rest;
        taken
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn wanted(&self, what: &str) -> String {
        self.wrong(&format!("{what} is wanted"))
    }

    fn wrong(&self, what: &str) -> String {
        let read = self.text.chars().count() - self.rest.chars().count();
        format!("{what} (behind character {read})")
    }
}

/// One part stands for itself.
fn joined(mut parts: Vec<Filter>, is_all: bool) -> Filter {
    match (parts.len(), is_all) {
        (1, _) => parts.remove(0),
        (_, true) => Filter::And(parts),
        (_, false) => Filter::Or(parts),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(filter: &Filter) -> String {
        let joined = |all: &[Filter], word: &str| all.iter().map(shown).collect::<Vec<_>>().join(word);
        match filter {
            Filter::Test(Test { path, operator, value }) => {
                format!("{path} {operator} {}", serde_json::to_string(value).unwrap())
            }
            Filter::Not(filter) => format!("not ({})", shown(filter)),
            Filter::And(all) => format!("({})", joined(all, " and ")),
            Filter::Or(any) => format!("({})", joined(any, " or ")),
        }
    }

    #[test]
    fn filters_are_read_from_left_to_right() {
        for (text, expected) in [
            ("name co pet", r#"name co "pet""#),
            (r#" name  co "p\"e) t" "#, r#"name co "p\"e) t""#),
            ("a eq 1 or b eq 2 and c eq 3", r#"((a eq "1" or b eq "2") and c eq "3")"#),
            ("a eq 1 or (b eq 2 and c eq 3)", r#"(a eq "1" or (b eq "2" and c eq "3"))"#),
            ("not(a eq 1)and b pr true", r#"(not (a eq "1") and b pr "true")"#),
            ("a.b:C.d eq http://x|(1", r#"a.b:C.d eq "http://x|(1""#),
        ] {
            assert_eq!(parse(text).map(|filter| shown(&filter)), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}a eq 1{}", "(".repeat(100_000), ")".repeat(100_000));
        let long = "a eq 1 and ".repeat(TESTS_MAX) + "a eq 1";
        for text in [
            "",
            " ",
            "a",
            "a eq",
            "a eq 1 b",
            "a eq 1 and",
            "a eq 1)",
            "(a eq 1",
            "not a eq 1",
            "()",
            "a eq \"x",
            "a eq \"\\u0000\"",
            "a eq \"\"",
            "a[b eq c].d eq 1",
            "a eq 1 AND b eq 2",
            &deep,
            &long,
        ] {
            assert!(parse(text).is_err(), "{}", text.get(..20).unwrap_or(text));
        }
    }

    fn filters() -> impl Strategy<Value = Filter> {
        let test = ("[a-z]{1,4}(\\.[a-z]{1,3})?", "[a-z]{2}", "\\PC{1,8}")
            .prop_filter("it is the word not", |(path, _, _)| path != "not")
            .prop_map(|(path, operator, value)| Filter::Test(Test { path, operator, value }));
        test.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| Filter::Not(Box::new(inner))),
                proptest::collection::vec(inner.clone(), 2..3).prop_map(Filter::And),
                proptest::collection::vec(inner, 2..3).prop_map(Filter::Or),
            ]
        })
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "(\\PC|[()\" ]|and|or|not|eq){0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_written_is_read(filter in filters()) {
            let text = shown(&filter);
            let read = parse(&text).map(|filter| shown(&filter));
            prop_assert_eq!(read, Ok(text));
        }
    }
}
