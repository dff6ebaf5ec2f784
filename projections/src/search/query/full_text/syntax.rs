//! The syntax of `_text` and `_content`: words, joined by `AND`, `OR` and `NOT` in any case, in parentheses.
//!
//! R4 leaves the syntax to servers, and gives `(bone OR liver) and metastases` as an example. Words beside each other are all
//! wanted. `NOT` comes before `AND`, and that before `OR`, which a comma stands for too.

use crate::search::words;

/// Parentheses within each other.
const DEPTH_MAX: usize = 16;
/// Words of one value.
const WORDS_MAX: usize = 64;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    /// A word as it is compared.
    Word(String),
    Not(Box<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

/// A value that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) expression: Expression,
    /// Some words were written as one: what has them all is found, wherever they stand.
    pub(super) has_phrase: bool,
}

/// Reads a value.
///
/// # Errors
/// What is wrong, and behind which character; nothing of the value.
pub(super) fn parse(text: &str) -> Result<Parsed, String> {
    let mut reader = Reader { text, rest: text, depth: 0, words: 0, is_negated: false, has_phrase: false };
    let expression = reader.any()?;
    match reader.next() {
        Next::End => Ok(Parsed { expression, has_phrase: reader.has_phrase }),
        _ => Err(reader.wrong("there is a ) too many")),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
    words: usize,
    /// Within a `NOT`.
    is_negated: bool,
    has_phrase: bool,
}

/// What the rest begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next<'a> {
    Open,
    Close,
    Quote,
    And,
    Or,
    Comma,
    Not,
    /// Anything else up to a space, a parenthesis, a quotation mark or a comma that has no backslash before it.
    Run(&'a str),
    End,
}

impl<'a> Reader<'a> {
    fn any(&mut self) -> Result<Expression, String> {
        let mut any = vec![self.all()?];
        loop {
            match self.next() {
                Next::Or => self.skip(2),
                Next::Comma => self.skip(1),
                _ => return Ok(joined(any, Expression::Any)),
            }
            any.push(self.all()?);
        }
    }

    fn all(&mut self) -> Result<Expression, String> {
        let mut all = vec![self.operand()?];
        loop {
            match self.next() {
                Next::And => self.skip(3),
                Next::Or | Next::Comma | Next::Close | Next::End => {
                    return Ok(joined(all, Expression::All));
                }
                _ => {}
            }
            all.push(self.operand()?);
        }
    }

    fn operand(&mut self) -> Result<Expression, String> {
        let (mut is_not, before) = (false, self.is_negated);
        while self.next() == Next::Not {
            self.skip(3);
            (is_not, self.is_negated) = (!is_not, true);
        }
        let operand = match self.next() {
            Next::Open => self.group()?,
            Next::Quote => self.quoted()?,
            Next::Run(run) => self.run(run)?,
            _ => return Err(self.wrong("a word, \"some words\", NOT or ( is wanted")),
        };
        self.is_negated = before;
        Ok(if is_not { Expression::Not(Box::new(operand)) } else { operand })
    }

    fn group(&mut self) -> Result<Expression, String> {
        if self.depth >= DEPTH_MAX {
            return Err(self.wrong(&format!("more than {DEPTH_MAX} parentheses are within each other")));
        }
        self.skip(1);
        self.depth += 1;
        let group = self.any()?;
        self.depth -= 1;
        if self.next() != Next::Close {
            return Err(self.wrong("a ) is wanted"));
        }
        self.skip(1);
        Ok(group)
    }

    fn quoted(&mut self) -> Result<Expression, String> {
        let inner = self.rest.get(1..).and_then(|rest| rest.split_once('"'));
        let Some((inner, _)) = inner else {
            return Err(self.wrong("the quotation mark has no other one behind it"));
        };
        let words = self.words_of(inner)?;
        self.skip(inner.len() + 2);
        Ok(words)
    }

    fn run(&mut self, run: &str) -> Result<Expression, String> {
        if run.contains('*') {
            return Err(self.wrong("words are searched as a whole, and * is not supported"));
        }
        if run.starts_with(['-', '!']) {
            return Err(self.wrong("a word that is to be left out has NOT before it"));
        }
        let words = self.words_of(run)?;
        self.skip(run.len());
        Ok(words)
    }

    /// All words of a text that is written as one.
    fn words_of(&mut self, text: &str) -> Result<Expression, String> {
        let mut all = Vec::new();
        words::each(text, &mut |word| {
            if all.len() <= WORDS_MAX {
                all.push(Expression::Word(word.to_owned()));
            }
        });
        self.words += all.len();
        if all.is_empty() {
            return Err(self.wrong("a word has letters or digits"));
        }
        if self.words > WORDS_MAX {
            return Err(format!("a value has at most {WORDS_MAX} words"));
        }
        if all.len() > 1 {
            if self.is_negated {
                // What has the words elsewhere would be left out with it, unseen.
                let text = "where words stand is not indexed, so that these cannot be left out as one; say NOT (… …)";
                return Err(self.wrong(text));
            }
            self.has_phrase = true;
        }
        Ok(joined(all, Expression::All))
    }

    fn next(&mut self) -> Next<'a> {
        self.rest = self.rest.trim_start();
        let run = run_of(self.rest);
        match (self.rest.chars().next(), run) {
            (None, _) => Next::End,
            (Some('('), _) => Next::Open,
            (Some(')'), _) => Next::Close,
            (Some('"'), _) => Next::Quote,
            (Some(','), _) => Next::Comma,
            (_, word) if word.eq_ignore_ascii_case("and") => Next::And,
            (_, word) if word.eq_ignore_ascii_case("or") => Next::Or,
            (_, word) if word.eq_ignore_ascii_case("not") => Next::Not,
            (_, word) => Next::Run(word),
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn wrong(&self, what: &str) -> String {
        let read = self.text.chars().count() - self.rest.chars().count();
        format!("{what} (behind character {read})")
    }
}

fn run_of(text: &str) -> &str {
    let mut is_escaped = false;
    let is_end = |character: char| {
        let is_literal = is_escaped;
        is_escaped = character == '\\' && !is_literal;
        let ends = character.is_whitespace() || matches!(character, '(' | ')' | '"');
        ends || character == ',' && !is_literal
    };
    let end = text.find(is_end).unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

/// One part stands for itself.
fn joined(mut parts: Vec<Expression>, several: fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() == 1 { parts.remove(0) } else { several(parts) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(expression: &Expression) -> String {
        let joined = |all: &[Expression], by: &str| all.iter().map(shown).collect::<Vec<_>>().join(by);
        match expression {
            Expression::Word(word) => word.clone(),
            Expression::Not(inner) => format!("!{}", shown(inner)),
            Expression::All(all) => format!("({})", joined(all, " ")),
            Expression::Any(any) => format!("({})", joined(any, "|")),
        }
    }

    #[test]
    fn words_are_joined_as_they_are_in_sums() {
        for (text, expected) in [
            ("Bone", "bone"),
            (" bone   METASTASES ", "(bone metastases)"),
            ("(bone OR liver) and metastases", "((bone|liver) metastases)"),
            ("a OR b c,d AnD e", "(a|(b c)|(d e))"),
            ("a not b", "(a !b)"),
            ("NOT (a or b) c", "(!(a|b) c)"),
            ("not not a", "a"),
            ("((a))", "a"),
            ("(a)(b)\"c\"d", "(a b c d)"),
            ("\"and\" NOTE", "(and note)"),
            ("O'Neil ångström", "(oneil angstrom)"),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!((shown(&parsed.expression).as_str(), parsed.has_phrase), (expected, false), "{text}");
        }
    }

    #[test]
    fn what_is_written_as_one_is_all_of_its_words() {
        for (text, expected) in [
            ("\"no evidence, (of)\" x", "((no evidence of) x)"),
            ("non-small", "(non small)"),
            (r"a\,b,c", "((a b)|c)"),
            (r"a\\,b-c", "(a|(b c))"),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!((shown(&parsed.expression).as_str(), parsed.has_phrase), (expected, true), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_refused_and_says_where() {
        for (text, at, reason) in [
            ("", 0, "is wanted"),
            ("a AND", 5, "is wanted"),
            ("a,,b", 2, "is wanted"),
            ("OR a", 0, "is wanted"),
            ("NOT", 3, "is wanted"),
            ("a ()", 3, "is wanted"),
            ("a (b", 4, "a ) is wanted"),
            ("é b)", 3, "too many"),
            ("a \"b", 2, "quotation mark"),
            ("a metast*", 2, "* is not supported"),
            ("a -b", 2, "has NOT before it"),
            ("a & b", 2, "letters or digits"),
            ("a \"--\"", 2, "letters or digits"),
            ("a NOT b-c", 6, "left out as one"),
            ("NOT (a \"b c\")", 7, "left out as one"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(reason) && error.ends_with(&format!("(behind character {at})")),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn words_and_depth_are_bounded() {
        assert!(parse(&"a ".repeat(WORDS_MAX)).is_ok());
        let long = "a ".repeat(WORDS_MAX + 1);
        for text in [long.clone(), format!("\"{}\"", long.repeat(1000))] {
            assert!(parse(&text).unwrap_err().contains("at most 64 words"));
        }
        let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert!(parse(&deep(100_000)).unwrap_err().contains("within each other"));
        assert!(parse(&"not ".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn nothing_breaks_the_reader(text in "[aé ,()\"\\\\*-]{0,30}|(and|or|not| |a){0,9}") {
            let _ = parse(&text);
        }
    }
}
