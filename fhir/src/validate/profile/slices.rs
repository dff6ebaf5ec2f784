//! Puts the occurrences of an element into its slices and holds each against the rules of its slice.

use super::check::{At, Check, Verdict, indexed, place, printable};
use super::table::{Criterion, Openness, Place, Profile, Rules};
use super::{Lookup, type_of_address};
use crate::definitions::{BindingStrength, Structure, StructureKind, r4};
use crate::fhirpath::{Compiled, Item, Node, elements};
use crate::validate::issues::IssueCode;

/// What stands at the place of a discriminator.
struct Placed<'a> {
    nodes: Vec<Node<'a>>,
    /// Types of resources that nobody fetched.
    unresolved: Vec<&'static Structure>,
}

impl<'a> Check<'_, 'a> {
    /// All slices of an element, from its occurrences.
    pub(super) fn slices(
        &mut self,
        profile: &Profile,
        rules: &Rules,
        (holder, found): (&Node<'a>, &[Node<'a>]),
        at: At<'_, 'a>,
    ) {
        let mut members: Vec<Vec<Node<'a>>> = rules.slices.iter().map(|_| Vec::new()).collect();
        let (mut is_certain, mut last, mut behind_end) = (true, 0, false);
        for (index, node) in found.iter().enumerate() {
            let own = indexed(node, index, at.path);
            let at = at.to(&own);
            let slice = self.slice_of(profile, rules, node, at);
            let Ok(slice) = slice else {
                is_certain = false;
                continue;
            };
            let is_default =
                slice.and_then(|slice| rules.slices.get(slice)).is_some_and(|slice| slice.is_default);
            if !is_default {
                self.order(profile, rules, slice, (&mut last, &mut behind_end), node, at);
            }
            let Some(slice) = slice else { continue };
            if let (Some(own), Some(list)) = (rules.slices.get(slice), members.get_mut(slice)) {
                list.push(*node);
                self.element(profile, profile.at(own.rules), node, at);
            }
        }
        for (slice, list) in rules.slices.iter().zip(members) {
            let own = profile.at(slice.rules);
            // Where something cannot be told, nothing can be missing.
            if is_certain || own.max.is_some_and(|max| list.len() > max as usize) {
                self.count(profile, own, list.len(), holder, at);
            }
            if !own.slices.is_empty() {
                self.slices(profile, own, (holder, &list), at);
            }
        }
    }

    /// The slice that an occurrence is in, or none; an error where it cannot be told.
    fn slice_of(
        &mut self,
        profile: &Profile,
        rules: &Rules,
        node: &Node<'a>,
        at: At<'_, 'a>,
    ) -> Result<Option<usize>, ()> {
        let mut is_certain = true;
        for (index, slice) in rules.slices.iter().enumerate().filter(|(_, slice)| !slice.is_default) {
            if !self.may_go_on(slice.criteria.len()) {
                return Err(());
            }
            let mut verdict = Verdict::Yes;
            for criterion in &slice.criteria {
                match self.meets(profile, criterion, node, at) {
                    Verdict::Yes => {}
                    Verdict::No => {
                        verdict = Verdict::No;
                        break;
                    }
                    Verdict::Unknown => verdict = Verdict::Unknown,
                }
            }
            match verdict {
                Verdict::Yes => return Ok(Some(index)),
                Verdict::No => {}
                Verdict::Unknown => is_certain = false,
            }
        }
        // What is in no other slice is in the default one, where there is one.
        if is_certain { Ok(rules.slices.iter().position(|slice| slice.is_default)) } else { Err(()) }
    }

    /// Closed and ordered slicings.
    fn order(
        &mut self,
        profile: &Profile,
        rules: &Rules,
        slice: Option<usize>,
        (last, behind_end): (&mut usize, &mut bool),
        node: &Node<'a>,
        at: At<'_, 'a>,
    ) {
        let (Some(value), Some(slicing)) = (place(node), &rules.slicing) else { return };
        let url = printable(&profile.url);
        let wrong = match slice {
            // A choice of a wrong type has been told as such.
            None if slicing.openness == Openness::Closed && (!rules.is_choice || rules.types.is_empty()) => {
                Some("is in none of the slices, and no others are allowed")
            }
            None => {
                *behind_end = true;
                None
            }
            Some(_) if slicing.openness == Openness::OpenAtEnd && *behind_end => {
                Some("is in a slice, but stands behind what is in none")
            }
            Some(slice) if slicing.is_ordered && slice < *last => Some("stands behind a later slice"),
            Some(slice) => {
                *last = slice;
                None
            }
        };
        if let Some(wrong) = wrong {
            self.issues.error(IssueCode::Structure, at.path, value, format_args!("{wrong}; profile {url}"));
        }
    }

    /// Whether an occurrence meets what a discriminator asks for.
    fn meets(
        &mut self,
        profile: &Profile,
        criterion: &Criterion,
        node: &Node<'a>,
        at: At<'_, 'a>,
    ) -> Verdict {
        match criterion {
            Criterion::Unknown => Verdict::Unknown,
            Criterion::Value { place, rules } => {
                let Some(placed) = self.placed(place, node, at) else { return Verdict::Unknown };
                if !placed.unresolved.is_empty() {
                    return Verdict::Unknown;
                }
                all(rules.iter().map(|index| self.any_satisfies(profile, *index, &placed.nodes)))
            }
            Criterion::Exists { place, wanted } => match self.placed(place, node, at) {
                Some(placed) => (placed.nodes.is_empty() != *wanted).into(),
                None => Verdict::Unknown,
            },
            Criterion::Type { place, codes } => {
                let Some(placed) = self.placed(place, node, at) else { return Verdict::Unknown };
                let mut types = placed.nodes.iter().filter_map(Node::structure).chain(placed.unresolved);
                types.any(|structure| codes.iter().any(|code| is_of_type(structure, code))).into()
            }
            Criterion::Profile { place, profiles } => {
                let Some(placed) = self.placed(place, node, at) else { return Verdict::Unknown };
                // What is not at hand may conform, but only to a profile for its type.
                let may = |structure: &Structure| {
                    profiles
                        .iter()
                        .any(|url| self.profiled(url).is_none_or(|name| r4().is_a(structure.name, name)))
                };
                if placed.unresolved.iter().any(|structure| may(structure)) {
                    return Verdict::Unknown;
                }
                let mut pairs =
                    placed.nodes.iter().flat_map(|node| profiles.iter().map(move |url| (node, url)));
                pairs.any(|(node, url)| self.silently(|check| _ = check.conforms_to(url, node, at))).into()
            }
        }
    }

    /// The type that a profile is for, where it is known.
    fn profiled(&self, address: &str) -> Option<&'static str> {
        type_of_address(address).or_else(|| match self.around.profiles.profile(address) {
            Lookup::Known(profile) => Some(profile.structure.name),
            _ => None,
        })
    }

    /// What stands at a place; `None` where the expression cannot be evaluated.
    fn placed(&mut self, place: &Place, node: &Node<'a>, at: At<'_, 'a>) -> Option<Placed<'a>> {
        let Some(compiled) = &place.0 else {
            return Some(Placed { nodes: vec![*node], unresolved: Vec::new() });
        };
        let mut placed = Placed { nodes: Vec::new(), unresolved: Vec::new() };
        for item in self.evaluated(compiled, node, at)? {
            match item {
                Item::Node(found) => placed.nodes.extend(found.lifted(self.outermost)),
                Item::Unresolved(found) => placed.unresolved.push(found.structure),
                _ => return None,
            }
        }
        Some(placed)
    }

    fn evaluated<'c>(&self, compiled: &'c Compiled, node: &Node<'c>, at: At<'_, 'c>) -> Option<Vec<Item<'c>>>
    where
        'a: 'c,
    {
        self.evaluate(compiled, node, at)
    }

    fn any_satisfies(&self, profile: &Profile, index: usize, nodes: &[Node<'a>]) -> Verdict {
        any(nodes.iter().map(|node| self.satisfies(profile, index, node)))
    }

    /// Whether an element has the value that rules ask for, be it further below.
    fn satisfies(&self, profile: &Profile, index: usize, node: &Node<'a>) -> Verdict {
        let rules = profile.at(index);
        if let Some(wanted) = &rules.wanted {
            return super::values::has(wanted, node).into();
        }
        let mut profiles = rules
            .types
            .iter()
            .filter(|row| &*row.code == "Extension")
            .flat_map(|row| row.profiles.iter())
            .peekable();
        if profiles.peek().is_some() {
            let url = elements(node, "url")
                .first()
                .and_then(Node::value)
                .and_then(|value| value.as_str().map(|url| url.into_owned()));
            // A version in the profile is none in the extension.
            return profiles.any(|profile| profile.split('|').next() == url.as_deref()).into();
        }
        if let Some(binding) =
            rules.binding.as_ref().filter(|binding| binding.strength == BindingStrength::Required)
        {
            return self.is_bound(&binding.value_set, node).map_or(Verdict::Unknown, Verdict::from);
        }
        let below = |list: &[usize]| {
            list.iter()
                .copied()
                .filter(|child| *child > index && profile.at(*child).tells)
                .collect::<Vec<_>>()
        };
        let of_children = below(&rules.children).into_iter().map(|child| {
            let found = elements(node, &profile.at(child).name);
            if found.is_empty() {
                (profile.at(child).min == 0).into()
            } else {
                self.any_satisfies(profile, child, &found)
            }
        });
        all(of_children)
    }
}

/// All of them; unknown where one is and none is wrong.
fn all(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::Yes, |sum, verdict| match (sum, verdict) {
        (Verdict::No, _) | (_, Verdict::No) => Verdict::No,
        (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
        _ => Verdict::Yes,
    })
}

/// One of them; unknown where one is and none is right.
fn any(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    verdicts.fold(Verdict::No, |sum, verdict| match (sum, verdict) {
        (Verdict::Yes, _) | (_, Verdict::Yes) => Verdict::Yes,
        (Verdict::Unknown, _) | (_, Verdict::Unknown) => Verdict::Unknown,
        _ => Verdict::No,
    })
}

/// Whether a structure is of a type. A primitive is of its own only: `code` is no allowed `string`.
pub(super) fn is_of_type(structure: &Structure, name: &str) -> bool {
    match structure.kind {
        StructureKind::Primitive => structure.name == name || matches!(name, "Element"),
        StructureKind::Backbone => {
            structure.name == name || structure.base.is_some_and(|base| r4().is_a(base, name))
        }
        _ => r4().is_a(structure.name, name),
    }
}
