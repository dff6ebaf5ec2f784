//! `_contained` and `_containedType` (R4 search.html#contained): whether contained resources are searched, and what is
//! told of them.

use super::parse::Parser;
use super::{Scope, SortBy, SortKey};
use crate::search::atom::Criterion;
use crate::search::bucket;
use crate::search::contained::{asked_of_contained, compartment};
use crate::search::issue::{Issue, IssueKind, Severity};
use crate::search::shelf::Shelf;
use crate::search::value::Refusal;

/// `_contained`: which resources are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Contained {
    /// `false`: those that stand for themselves.
    #[default]
    None,
    /// `true`: those that others contain.
    Only,
    /// `both`.
    Both,
}

/// `_containedType`: what is told of a contained resource that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContainedType {
    /// `container`: the resource that contains it, once, whatever in it matches.
    #[default]
    Container,
    /// `contained`: the contained resource alone.
    Contained,
}

impl Contained {
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        match value {
            "false" => Ok(Self::None),
            "true" => Ok(Self::Only),
            "both" => Ok(Self::Both),
            _ => Err("_contained: true, false or both is wanted".to_owned()),
        }
    }
}

impl ContainedType {
    pub(super) fn parse(value: &str) -> Result<Self, String> {
        match value {
            "container" => Ok(Self::Container),
            "contained" => Ok(Self::Contained),
            _ => Err("_containedType: container or contained is wanted".to_owned()),
        }
    }
}

/// What is asked of contained resources, where they are searched.
#[derive(Debug, Clone)]
pub(crate) struct OfContained {
    pub(crate) is_both: bool,
    pub(crate) returned: ContainedType,
    pub(crate) criteria: Vec<Criterion>,
}

/// The refusal of what nothing may refer to: of a contained resource only references are known, no canonical addresses
/// that begin with `#`.
pub(super) fn not_known_to_be_referenced() -> Refusal {
    Refusal::BadValue(
        "it cannot be used with _contained: not everything that refers to a contained resource is known"
            .to_owned(),
    )
}

impl Parser<'_> {
    /// The same question for contained resources. `criteria` are those of the parameters, without the compartment.
    pub(super) fn of_contained(
        &mut self,
        scope: &Scope,
        criteria: &[Criterion],
        (asked, returned): (Contained, ContainedType),
        sort: &[SortKey],
    ) -> Option<OfContained> {
        if asked == Contained::None {
            return None;
        }
        if returned == ContainedType::Container && sort.first().is_some_and(|key| key.by != SortBy::Recorded)
        {
            let text = "containers can be sorted by _lastUpdated only: what they contain has the other values; with \
                        _containedType=contained it can be sorted by them";
            self.not_with_contained("_sort", text);
        }
        let within = match scope {
            Scope::Compartment { owner_type, owner_id, .. } => {
                Some(compartment(&self.catalogue.registry, self.log, (owner_type, owner_id)))
            }
            Scope::System | Scope::Type(_) => None,
        };
        let asked_of_contained = |criterion| asked_of_contained(criterion, &self.marked);
        let criteria = within.into_iter().chain(criteria.iter().map(asked_of_contained)).collect();
        Some(OfContained {
            is_both: asked == Contained::Both,
            returned,
            criteria: self.seen(bucket::narrowed(criteria), Shelf::Contained),
        })
    }

    fn not_with_contained(&mut self, name: &str, text: &str) {
        self.issues.push(Issue::new(Severity::Error, IssueKind::NotSupported, name, text));
    }
}
