//! The parser: one pass over the bytes, bounded in depth, strict where FHIR and RFC 7493 are strict.

use std::collections::HashSet;

use super::text::unescape;
use super::value::{Kind, Node};

/// Bounds of what is parsed.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Deepest nesting of arrays and objects. R4's deepest published example needs 21; 100 leaves room and keeps the stack small.
    pub depth_max: usize,
    /// Largest text in bytes; offsets are 32 bit.
    pub bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth_max: 100, bytes_max: 256 << 20 }
    }
}

/// What was wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// The text is longer than the bound.
    TooLong,
    /// Arrays and objects are nested deeper than the bound.
    TooDeep,
    /// The text ends inside a value.
    UnexpectedEnd,
    /// A byte that the grammar does not allow here; says what was expected.
    Unexpected(&'static str),
    /// A number that the grammar does not allow (leading zero, missing digits).
    BadNumber,
    /// A backslash with something unknown behind it.
    BadEscape,
    /// Half of a surrogate pair.
    LoneSurrogate,
    /// A control character inside a string.
    ControlCharacter,
    /// The same member name twice in one object.
    DuplicateName,
    /// Something follows the value.
    TrailingText,
}

/// The first fault of a text and where it is. Carries no content of the text but member names on the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} at line {line}, column {column}{}", self.what(), self.at_path())]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Byte offset from 0.
    pub offset: usize,
    /// Line from 1.
    pub line: usize,
    /// Column in characters from 1.
    pub column: usize,
    /// The way to the faulty value: member names and indices, like `name[0].given`; empty at the root.
    pub path: String,
}

/// Line and column, in characters, of a byte of a text; both count from 1.
pub(crate) fn line_and_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let in_line = before.get(line_start..).unwrap_or(&[]);
    // Continuation bytes of UTF-8 do not start a character.
    (line, 1 + in_line.iter().filter(|byte| (*byte & 0xC0) != 0x80).count())
}

impl ParseError {
    fn new(kind: ParseErrorKind, text: &[u8], offset: usize, path: String) -> Self {
        let (line, column) = line_and_column(text, offset);
        Self { kind, offset, line, column, path }
    }

    pub(super) fn not_utf8(error: &std::string::FromUtf8Error) -> Self {
        let offset = error.utf8_error().valid_up_to();
        Self::new(ParseErrorKind::NotUtf8, error.as_bytes(), offset, String::new())
    }

    fn what(&self) -> String {
        match &self.kind {
            ParseErrorKind::NotUtf8 => "the text is not valid UTF-8".into(),
            ParseErrorKind::TooLong => "the text is too long".into(),
            ParseErrorKind::TooDeep => "arrays and objects are nested too deeply".into(),
            ParseErrorKind::UnexpectedEnd => "the text ends too early".into(),
            ParseErrorKind::Unexpected(expected) => format!("expected {expected}"),
            ParseErrorKind::BadNumber => "this is no JSON number".into(),
            ParseErrorKind::BadEscape => "unknown escape in a string".into(),
            ParseErrorKind::LoneSurrogate => "half of a surrogate pair in a string".into(),
            ParseErrorKind::ControlCharacter => "control character in a string".into(),
            ParseErrorKind::DuplicateName => "the same member name twice in one object".into(),
            ParseErrorKind::TrailingText => "text after the end of the value".into(),
        }
    }

    fn at_path(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" ({})", self.path) }
    }
}

/// A fault inside the recursion; the path grows from the inside to the outside.
struct Fault {
    kind: ParseErrorKind,
    offset: usize,
    path: Vec<Step>,
}

enum Step {
    Name(String),
    Item(u32),
}

type Parsed<T> = Result<T, Box<Fault>>;

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    depth_left: usize,
}

/// Parses a whole text into nodes in pre-order.
pub(super) fn parse(text: &str, limits: &Limits) -> Result<Vec<Node>, ParseError> {
    let bytes = text.as_bytes();
    if bytes.len() > limits.bytes_max || u32::try_from(bytes.len()).is_err() {
        return Err(ParseError::new(ParseErrorKind::TooLong, bytes, 0, String::new()));
    }
    let nodes = Vec::with_capacity(bytes.len() / 24 + 4);
    let mut parser = Parser { text, bytes, at: 0, nodes, depth_left: limits.depth_max };
    parser.document().map_err(|fault| {
        let path = render_path(&fault.path);
        ParseError::new(fault.kind, bytes, fault.offset, path)
    })?;
    Ok(parser.nodes)
}

fn render_path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Name(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                // A name is the client's text: keep the path readable and bounded.
                path.extend(name.chars().filter(|c| !c.is_control()).take(64));
            }
            Step::Item(index) => path.push_str(&format!("[{index}]")),
        }
    }
    path
}

fn offset32(at: usize) -> u32 {
    // The text's length was checked against u32 before parsing.
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Parser<'_> {
    fn document(&mut self) -> Parsed<()> {
        self.skip_space();
        self.value(None)?;
        self.skip_space();
        if self.at < self.bytes.len() { self.fail(ParseErrorKind::TrailingText) } else { Ok(()) }
    }

    fn fail<T>(&self, kind: ParseErrorKind) -> Parsed<T> {
        self.fail_at(kind, self.at)
    }

    fn fail_at<T>(&self, kind: ParseErrorKind, offset: usize) -> Parsed<T> {
        Err(Box::new(Fault { kind, offset, path: Vec::new() }))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Parses the value at the cursor; `name` is the span of the member name and whether it has escapes.
    fn value(&mut self, name: Option<(usize, usize, bool)>) -> Parsed<()> {
        let (name_start, name_end, name_escaped) = name.unwrap_or((0, 0, false));
        let index = self.nodes.len();
        let start = self.at;
        self.nodes.push(Node {
            kind: Kind::Null,
            escaped: false,
            name_escaped,
            start: offset32(start),
            end: 0,
            name_start: offset32(name_start),
            name_end: offset32(name_end),
            next: 0,
            count: 0,
        });
        let (kind, escaped, count) = match self.peek() {
            Some(b'"') => (Kind::String, self.string()?, 0),
            Some(b'{') => (Kind::Object, false, self.nested(Self::object)?),
            Some(b'[') => (Kind::Array, false, self.nested(Self::array)?),
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                (Kind::Number, false, 0)
            }
            Some(b't') => (self.literal("true", Kind::Bool)?, false, 0),
            Some(b'f') => (self.literal("false", Kind::Bool)?, false, 0),
            Some(b'n') => (self.literal("null", Kind::Null)?, false, 0),
            Some(_) => return self.fail(ParseErrorKind::Unexpected("a value")),
            None => return self.fail(ParseErrorKind::UnexpectedEnd),
        };
        let next = offset32(self.nodes.len());
        let end = offset32(self.at);
        if let Some(node) = self.nodes.get_mut(index) {
            node.kind = kind;
            node.escaped = escaped;
            node.count = count;
            node.end = end;
            node.next = next;
        }
        Ok(())
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Parsed<u32>) -> Parsed<u32> {
        let Some(left) = self.depth_left.checked_sub(1) else {
            return self.fail(ParseErrorKind::TooDeep);
        };
        self.depth_left = left;
        let count = inner(self)?;
        self.depth_left = left + 1;
        Ok(count)
    }

    fn array(&mut self) -> Parsed<u32> {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(0);
        }
        let mut count = 0;
        loop {
            self.skip_space();
            self.value(None).map_err(|mut fault| {
                fault.path.push(Step::Item(count));
                fault
            })?;
            count += 1;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                Some(_) => return self.fail(ParseErrorKind::Unexpected("',' or ']'")),
                None => return self.fail(ParseErrorKind::UnexpectedEnd),
            }
        }
        self.at += 1;
        Ok(count)
    }

    fn object(&mut self) -> Parsed<u32> {
        let first = self.nodes.len();
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(0);
        }
        let mut count = 0;
        loop {
            self.skip_space();
            self.member()?;
            count += 1;
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                Some(_) => return self.fail(ParseErrorKind::Unexpected("',' or '}'")),
                None => return self.fail(ParseErrorKind::UnexpectedEnd),
            }
        }
        self.at += 1;
        self.refuse_duplicates(first, count)?;
        Ok(count)
    }

    fn member(&mut self) -> Parsed<()> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return self.fail(ParseErrorKind::Unexpected("a member name in quotes")),
            None => return self.fail(ParseErrorKind::UnexpectedEnd),
        }
        let name_start = self.at + 1;
        let escaped = self.string()?;
        let name_end = self.at - 1;
        self.skip_space();
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return self.fail(ParseErrorKind::Unexpected("':'")),
            None => return self.fail(ParseErrorKind::UnexpectedEnd),
        }
        self.skip_space();
        self.value(Some((name_start, name_end, escaped))).map_err(|mut fault| {
            let raw = self.text.get(name_start..name_end).unwrap_or("");
            fault.path.push(Step::Name(if escaped { unescape(raw) } else { raw.to_owned() }));
            fault
        })
    }

    /// Compares the names of an object's members; small objects by pairs, large ones by a set.
    fn refuse_duplicates(&self, first: usize, count: u32) -> Parsed<()> {
        const PAIRS_MAX: u32 = 12;
        let members = || {
            let mut at = first;
            (0..count).filter_map(move |_| {
                let node = self.nodes.get(at)?;
                at = node.next as usize;
                Some(node)
            })
        };
        let raw = |node: &Node| self.text.get(node.name_start as usize..node.name_end as usize).unwrap_or("");
        let plain = count <= PAIRS_MAX && members().all(|node| !node.name_escaped);
        let duplicate = if plain {
            members()
                .enumerate()
                .find(|(i, node)| members().take(*i).any(|other| raw(other) == raw(node)))
                .map(|(_, node)| node)
        } else {
            let mut seen = HashSet::with_capacity(count as usize);
            members().find(|node| {
                let name = raw(node);
                !seen.insert(if node.name_escaped { unescape(name) } else { name.to_owned() })
            })
        };
        match duplicate {
            None => Ok(()),
            Some(node) => {
                let name = raw(node);
                let name = if node.name_escaped { unescape(name) } else { name.to_owned() };
                let offset = (node.name_start as usize).saturating_sub(1);
                Err(Box::new(Fault {
                    kind: ParseErrorKind::DuplicateName,
                    offset,
                    path: vec![Step::Name(name)],
                }))
            }
        }
    }

    /// Passes over a string; true where it holds escapes.
    fn string(&mut self) -> Parsed<bool> {
        self.at += 1;
        let mut escaped = false;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..=0x1f) => return self.fail(ParseErrorKind::ControlCharacter),
                Some(_) => self.at += 1,
                None => return self.fail(ParseErrorKind::UnexpectedEnd),
            }
        }
    }

    fn escape(&mut self) -> Parsed<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let start = self.at;
                match self.code_unit()? {
                    0xDC00..=0xDFFF => self.fail_at(ParseErrorKind::LoneSurrogate, start),
                    0xD800..=0xDBFF => {
                        let paired = self.bytes.get(self.at..self.at + 2) == Some(b"\\u".as_slice())
                            && matches!(self.code_unit()?, 0xDC00..=0xDFFF);
                        if paired { Ok(()) } else { self.fail_at(ParseErrorKind::LoneSurrogate, start) }
                    }
                    _ => Ok(()),
                }
            }
            Some(_) => self.fail(ParseErrorKind::BadEscape),
            None => self.fail(ParseErrorKind::UnexpectedEnd),
        }
    }

    /// Reads `\uXXXX` at the cursor.
    fn code_unit(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at + 2..self.at + 6);
        let Some(digits) = digits.filter(|d| d.iter().all(u8::is_ascii_hexdigit)) else {
            return self.fail(ParseErrorKind::BadEscape);
        };
        self.at += 6;
        Ok(digits.iter().fold(0, |unit, digit| unit * 16 + char::from(*digit).to_digit(16).unwrap_or(0)))
    }

    fn literal(&mut self, word: &'static str, kind: Kind) -> Parsed<Kind> {
        if self.bytes.get(self.at..self.at + word.len()) == Some(word.as_bytes()) {
            self.at += word.len();
            Ok(kind)
        } else {
            self.fail(ParseErrorKind::Unexpected("a value"))
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Parsed<()> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        let mut good = whole > 0 && !(leading_zero && whole > 1);
        if self.peek() == Some(b'.') {
            self.at += 1;
            good &= self.digits() > 0;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            good &= self.digits() > 0;
        }
        if good { Ok(()) } else { self.fail_at(ParseErrorKind::BadNumber, start) }
    }
}
