//! What an operation takes: the names of its parameters. Others are left out with a warning, where the answer can hold
//! one, or refused where the client or the configuration wants that, as in searches.

use std::collections::BTreeMap;

use super::Input;
use crate::api::as_of;
use crate::api::call::Call;
use crate::api::query::{GENERAL, encode};
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// The parameters of an operation.
pub(in crate::api) struct Takes {
    /// Its name, with the dollar sign.
    pub(in crate::api) operation: &'static str,
    /// Those that are given once.
    pub(in crate::api) once: &'static [&'static str],
    /// Those that may be given several times.
    pub(in crate::api) often: &'static [&'static str],
    /// Those of R4 that it does not have, and that must not be left out: the answer would be another one.
    pub(in crate::api) refused: &'static [&'static str],
    /// Whether unknown ones are refused whoever asks: it writes, or its answer has no place for a warning.
    pub(in crate::api) refuses_others: bool,
    /// Whether a body may be a resource of its own instead of Parameters.
    pub(in crate::api) takes_resource: bool,
    /// Whether its query is that of a search, which says itself what it does not know.
    pub(in crate::api) searches: bool,
}

impl Takes {
    /// An operation that knows nothing.
    pub(in crate::api) const NOTHING: Self = Self {
        operation: "",
        once: &[],
        often: &[],
        refused: &[],
        refuses_others: false,
        takes_resource: false,
        searches: false,
    };

    /// Looks at the names of all that was given, and tells what is left out; where others are refused, these are errors to
    /// refuse the request with, together with what else is wrong.
    ///
    /// # Errors
    /// 400 for a resource where Parameters are expected, for a parameter that is given too often, for one that R4 has
    /// and this server does not, and for unknown ones where they are refused.
    pub(in crate::api) fn check(&self, call: &Call, input: &Input<'_>) -> Result<Vec<Issue>, Failure> {
        if input.is_resource() && !self.takes_resource {
            let text =
                format!("The body of {} is a Parameters resource; this is another one.", self.operation);
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Structure, text).at("resourceType"));
        }
        let of_query = call.query.others(&GENERAL).map(|(name, _)| name.clone());
        let (of_query, of_body) = (counted(of_query.collect()), counted(input.names()));
        let of_query = of_query.into_iter().filter(|(name, _)| !self.searches || self.has(name));
        let mut left_out = Vec::new();
        for (name, count) in of_query.chain(of_body) {
            if self.once.contains(&name.as_str()) && count > 1 {
                let text = format!("{} takes {name} once; it is given {count} times.", self.operation);
                return Err(Failure::new(FailureKind::Invalid, IssueCode::Duplicate, text));
            }
            if self.has(&name) {
                continue;
            }
            if as_of::is_nearly(&name) {
                return Err(as_of::misspelt(&name));
            }
            let shown = encode(&name);
            if self.refuses_others {
                let text = format!("{} does not know the parameter {shown}.", self.operation);
                left_out.push(Issue::error(IssueCode::NotSupported, text));
                continue;
            }
            if self.refused.contains(&name.as_str()) || call.refuses_unknown() {
                let text = format!("{} does not know the parameter {shown}.", self.operation);
                return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
            }
            let text = format!("{} does not know the parameter {shown}, which is left out.", self.operation);
            left_out.push(Issue::warning(IssueCode::NotSupported, text));
        }
        Ok(left_out)
    }

    fn has(&self, name: &str) -> bool {
        self.once.contains(&name) || self.often.contains(&name)
    }
}

fn counted(names: Vec<String>) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for name in names {
        *counted.entry(name).or_insert(0) += 1;
    }
    counted
}
