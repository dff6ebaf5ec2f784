//! All faults of a text at once, up to a bound, with what could be read of it all the same.

use super::error::{XmlError, XmlErrorKind};

/// Faults that are told at once, as many as of JSON that is not valid; the others are counted.
const FAULTS_MAX: usize = 100;

/// Why a text is no resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// What is wrong, in the order of the text; one at least, 100 at most.
    pub list: Vec<XmlError>,
    /// How many more there are.
    pub beyond: usize,
    /// The JSON of all that could be read, so that it can be checked for what else is wrong: elements that are not known
    /// are left out, values that cannot be read are `null`. `None` where the text could not be read to its end, or has
    /// more faults than are listed.
    pub json: Option<Vec<u8>>,
    /// The ways to what is not in the JSON as it is in the text.
    spoiled: Vec<String>,
}

impl Faults {
    /// One fault because of which nothing can be read.
    pub(super) fn one(error: XmlError) -> Self {
        Self { list: vec![error], beyond: 0, json: None, spoiled: Vec::new() }
    }

    /// The first fault.
    pub(super) fn first(self) -> Option<XmlError> {
        self.list.into_iter().next()
    }

    /// Whether what is wrong with this element of the JSON is only that its XML could not be read.
    #[must_use]
    pub fn cover(&self, expression: &str) -> bool {
        self.spoiled.iter().any(|path| {
            let rest = expression.strip_prefix(path.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }
}

/// Faults as they are found.
#[derive(Debug, Default)]
pub(super) struct Notes {
    found: Vec<(XmlErrorKind, usize, String)>,
    beyond: usize,
    spoiled: Vec<String>,
}

impl Notes {
    pub(super) fn count(&self) -> usize {
        self.found.len() + self.beyond
    }

    /// Notes a fault, its offset and the way to its element. The same again at once, as of text in several pieces, is
    /// one.
    pub(super) fn add(&mut self, kind: XmlErrorKind, offset: usize, path: String) {
        if self.found.len() < FAULTS_MAX
            && self.found.last().is_some_and(|(last, _, at)| (last, at) == (&kind, &path))
        {
            return;
        }
        match self.found.len() < FAULTS_MAX {
            true => self.found.push((kind, offset, path)),
            false => self.beyond += 1,
        }
    }

    /// Notes that an element is not in the JSON as it is in the text.
    pub(super) fn spoil(&mut self, path: String) {
        // There is a fault for each.
        if self.spoiled.len() < FAULTS_MAX {
            self.spoiled.push(path);
        }
    }

    /// The faults, if there are any, of a text of which this JSON was made.
    pub(super) fn finish(self, text: &[u8], json: Option<Vec<u8>>) -> Result<Vec<u8>, Faults> {
        let Self { found, beyond, spoiled } = self;
        match json {
            Some(json) if found.is_empty() => Ok(json),
            json => {
                let list =
                    found.into_iter().map(|(kind, offset, path)| XmlError::new(kind, text, offset, path));
                Err(Faults { list: list.collect(), beyond, json: json.filter(|_| beyond == 0), spoiled })
            }
        }
    }
}
