//! JSON pointers (RFC 6901): parsed once, resolved in a document.

use super::PatchErrorKind;
use crate::json::{Kind, Value};

/// A parsed pointer: the names and indices from the root down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    text: String,
    tokens: Vec<String>,
}

/// Where a pointer's last token is to be looked up.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place<'d, 'p> {
    /// The document itself.
    Root(Value<'d>),
    /// A member of an object; there or not.
    Member(Value<'d>, &'p str),
    /// An item of an array: its index or, for `-` and the array's length, the place behind the last.
    Item(Value<'d>, usize),
}

impl Pointer {
    /// Reads a pointer: empty, or tokens that each follow a slash.
    pub(super) fn parse(text: &str) -> Result<Self, PatchErrorKind> {
        const WANTED: &str = "a JSON pointer, as in /name/0/given";
        let tokens = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(unescape).collect::<Option<_>>(),
            None if text.is_empty() => Some(Vec::new()),
            None => None,
        };
        let tokens = tokens.ok_or(PatchErrorKind::Malformed(WANTED))?;
        Ok(Self { text: text.to_owned(), tokens })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pointer leads to something inside of what the other leads to.
    pub(super) fn is_inside(&self, other: &Self) -> bool {
        self.tokens.len() > other.tokens.len() && self.tokens.starts_with(&other.tokens)
    }

    /// The place that the pointer names, whether something is there or not.
    pub(super) fn place<'d, 'p>(&'p self, root: Value<'d>) -> Result<Place<'d, 'p>, PatchErrorKind> {
        let Some((last, parents)) = self.tokens.split_last() else { return Ok(Place::Root(root)) };
        let mut at = root;
        for token in parents {
            at = place(at, token)?.value().ok_or(PatchErrorKind::NotFound)?;
        }
        place(at, last)
    }

    /// What is at the pointer.
    pub(super) fn value<'d>(&self, root: Value<'d>) -> Result<Value<'d>, PatchErrorKind> {
        self.place(root)?.value().ok_or(PatchErrorKind::NotFound)
    }
}

fn place<'d, 'p>(parent: Value<'d>, token: &'p str) -> Result<Place<'d, 'p>, PatchErrorKind> {
    match parent.kind() {
        Kind::Object => Ok(Place::Member(parent, token)),
        Kind::Array if token == "-" => Ok(Place::Item(parent, parent.len())),
        Kind::Array => Ok(Place::Item(parent, index(token).ok_or(PatchErrorKind::BadIndex)?)),
        _ => Err(PatchErrorKind::NotAContainer),
    }
}

impl<'d> Place<'d, '_> {
    /// What is there.
    pub(super) fn value(self) -> Option<Value<'d>> {
        match self {
            Self::Root(root) => Some(root),
            Self::Member(object, name) => object.get(name),
            Self::Item(array, index) => array.items().nth(index),
        }
    }
}

/// Digits without a leading zero (RFC 6901 section 4).
fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || !token.starts_with('0') && token.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain { token.parse().ok() } else { None }
}

/// Undoes `~1` and `~0`; `None` for a tilde before anything else.
fn unescape(token: &str) -> Option<String> {
    let mut parts = token.split('~');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            _ => return None,
        };
        out.push(escaped);
        out.push_str(rest);
    }
    Some(out)
}
