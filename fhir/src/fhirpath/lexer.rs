//! The lexer: text to tokens with byte offsets (FHIRPath 2.0.0, appendix B, lexical rules).

use rust_decimal::Decimal;

use super::parser::{ParseError, ParseErrorKind};
use super::temporal::{Date, DateTime, Time};

/// A token; strings and names are unescaped.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A word: an identifier or a keyword.
    Word(Box<str>),
    /// An identifier in backticks: never a keyword.
    Quoted(Box<str>),
    /// `$this` and its kin, without the dollar sign.
    Special(Box<str>),
    /// `%name`, without the percent sign.
    Variable(Box<str>),
    String(Box<str>),
    Integer(i32),
    Decimal(Decimal),
    Date(Date),
    DateTime(DateTime),
    Time(Time),
    /// An operator or bracket.
    Symbol(&'static str),
    End,
}

/// Longer ones first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 23] = [
    "<=", ">=", "!=", "!~", ".", ",", "(", ")", "[", "]", "{", "}", "+", "-", "*", "/", "&", "|", "<", ">",
    "=", "~", ";",
];

/// Gives one token after the other; after the last one only [`Token::End`].
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// The next token and where it begins.
    pub(super) fn next(&mut self) -> Result<(usize, Token), ParseError> {
        self.skip_space()?;
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok((start, Token::End)) };
        let token = match first {
            'A'..='Z' | 'a'..='z' | '_' => Token::Word(self.word().into()),
            '0'..='9' => self.number()?,
            '\'' => Token::String(self.delimited('\'')?.into()),
            '`' => Token::Quoted(self.delimited('`')?.into()),
            '$' => {
                self.at += 1;
                Token::Special(self.word().into())
            }
            '%' => self.variable()?,
            '@' => self.temporal()?,
            _ => self.symbol()?,
        };
        Ok((start, token))
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn error<T>(&self, offset: usize, kind: ParseErrorKind) -> Result<T, ParseError> {
        Err(ParseError { offset: offset.min(self.text.len()), kind })
    }

    fn skip_space(&mut self) -> Result<(), ParseError> {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
            self.at += rest.len() - trimmed.len();
            if let Some(comment) = trimmed.strip_prefix("//") {
                self.at += 2 + comment.find('\n').unwrap_or(comment.len());
            } else if let Some(comment) = trimmed.strip_prefix("/*") {
                match comment.find("*/") {
                    Some(length) => self.at += length + 4,
                    None => return self.error(self.at, ParseErrorKind::UnfinishedComment),
                }
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> &'t str {
        self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.bytes().take_while(|byte| accept(*byte)).count();
        self.at += length;
        rest.get(..length).unwrap_or("")
    }

    fn number(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        self.take_while(|byte| byte.is_ascii_digit());
        let rest = self.rest().as_bytes();
        let fraction = rest.first() == Some(&b'.') && rest.get(1).is_some_and(u8::is_ascii_digit);
        if fraction {
            self.at += 1;
            self.take_while(|byte| byte.is_ascii_digit());
        }
        let literal = self.text.get(start..self.at).unwrap_or("");
        let token = if fraction {
            Decimal::from_str_exact(literal).ok().map(Token::Decimal)
        } else {
            literal.parse().ok().map(Token::Integer)
        };
        token.map_or_else(|| self.error(start, ParseErrorKind::NumberOutOfRange), Ok)
    }

    /// `%name`, `%'name'`, `` %`name` ``; also the older `%vs-name` and `%ext-name` of FHIR (R4 fhirpath.html, "Variables").
    fn variable(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        self.at += 1;
        let rest = self.rest();
        let name: Box<str> = match rest.chars().next() {
            Some('`') => self.delimited('`')?.into(),
            Some('\'') => self.delimited('\'')?.into(),
            _ if rest.starts_with("vs-") || rest.starts_with("ext-") => {
                self.take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')).into()
            }
            _ => self.word().into(),
        };
        if name.is_empty() {
            return self.error(start, ParseErrorKind::Expected("a variable name"));
        }
        Ok(Token::Variable(name))
    }

    fn temporal(&mut self) -> Result<Token, ParseError> {
        let start = self.at;
        let body = self.text.get(start + 1..).unwrap_or("");
        let read = match body.strip_prefix('T') {
            Some(time) => Time::parse_prefix(time).map(|(time, rest)| (Token::Time(time), rest)),
            None => Date::parse_prefix(body).and_then(|(date, rest)| match rest.strip_prefix('T') {
                Some(after) => DateTime::parse_after_date(date, after)
                    .map(|(date_time, rest)| (Token::DateTime(date_time), rest)),
                None => Some((Token::Date(date), rest)),
            }),
        };
        let Some((token, rest)) = read else { return self.error(start, ParseErrorKind::BadDate) };
        self.at = self.text.len() - rest.len();
        // What runs on is no date: `@20155`, `@2015-02-041`, `@T14:34:28Z`.
        if rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '_' || next == ':') {
            return self.error(start, ParseErrorKind::BadDate);
        }
        Ok(token)
    }

    fn symbol(&mut self) -> Result<Token, ParseError> {
        let rest = self.rest();
        match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(Token::Symbol(symbol))
            }
            None => self.error(self.at, ParseErrorKind::UnexpectedCharacter),
        }
    }

    /// Text up to the closing delimiter, with its escapes resolved.
    fn delimited(&mut self, delimiter: char) -> Result<String, ParseError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(next) = self.rest().chars().next() else {
                return self.error(start, ParseErrorKind::UnfinishedString);
            };
            let at = self.at;
            self.at += next.len_utf8();
            if next == delimiter {
                return Ok(text);
            }
            match next {
                '\\' => text.push(self.escape(at)?),
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self, start: usize) -> Result<char, ParseError> {
        let Some(next) = self.rest().chars().next() else {
            return self.error(start, ParseErrorKind::BadEscape);
        };
        self.at += next.len_utf8();
        match next {
            '\'' | '"' | '`' | '\\' | '/' => Ok(next),
            'r' => Ok('\r'),
            'n' => Ok('\n'),
            't' => Ok('\t'),
            'f' => Ok('\u{c}'),
            'u' => self.unicode(start),
            _ => self.error(start, ParseErrorKind::BadEscape),
        }
    }

    fn unicode(&mut self, start: usize) -> Result<char, ParseError> {
        let unit = self.four_hex(start)?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character);
        }
        if !self.rest().starts_with("\\u") {
            return self.error(start, ParseErrorKind::BadEscape);
        }
        self.at += 2;
        let low = self.four_hex(start)?;
        let pair = [unit, low].map(|unit| u16::try_from(unit).unwrap_or(0));
        match char::decode_utf16(pair).next() {
            Some(Ok(character)) => Ok(character),
            _ => self.error(start, ParseErrorKind::BadEscape),
        }
    }

    fn four_hex(&mut self, start: usize) -> Result<u32, ParseError> {
        let digits =
            self.rest().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return self.error(start, ParseErrorKind::BadEscape);
        };
        self.at += 4;
        Ok(unit)
    }
}
