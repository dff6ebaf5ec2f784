//! Pages of value sets that are nothing but a part of one code system, where the library has pages of it: then nobody has to
//! list the whole to count it.

use std::collections::BTreeMap;

use super::{Expansion, ExpansionRequest, shown, words};
use crate::terminology::engine::Engine;
use crate::terminology::library::{Branch, Canonical, Extent, Page};
use crate::terminology::value_set::{Filter, Part, ValueSet};
use crate::terminology::{ListError, PageTotal, part};

/// Branches that a page is within or without.
const BRANCHES_MAX: usize = 16;
/// Codes that a page is without, one by one.
const CODES_MAX: usize = 1_000;

/// The page of a set; nothing where it has to be listed.
pub(super) fn page(
    engine: &Engine<'_>,
    set: &ValueSet,
    request: &ExpansionRequest,
) -> Result<Option<Expansion>, ListError> {
    let Some((canonical, page)) = asked(set, request) else { return Ok(None) };
    let has_branches = !page.within.is_empty() || !page.without.is_empty();
    let system = match engine.code_system(&canonical, &Extent::Page(page)) {
        Ok(system) => system,
        Err(ListError::Pending) => return Err(ListError::Pending),
        // What is wrong is said where the whole is listed.
        Err(_unknown) => return Ok(None),
    };
    let total = match system.page_total {
        Some(PageTotal::Exactly(total)) => Some(total),
        Some(PageTotal::Uncounted) => None,
        None => return Ok(None),
    };
    // Where the hierarchy has another meaning, nothing is a kind of another.
    if has_branches && !system.is_subsuming {
        return Ok(None);
    }
    let of = (canonical.url.as_str(), Some(&*system));
    let contains = system.concepts().iter().map(|concept| shown(request, of, concept, None));
    Ok(Some(Expansion {
        total,
        used: BTreeMap::from([(canonical.url.clone(), system.version.clone())]),
        is_unclosed: !system.is_complete(),
        contains: contains.map(|row| row.trimmed(request)).collect(),
    }))
}

/// The page that a set is asked for, if it can be one.
fn asked(set: &ValueSet, request: &ExpansionRequest) -> Option<(Canonical, Page)> {
    let ([only], Some(count)) = (set.include.as_slice(), request.count) else { return None };
    let canonical = part::canonical(only)?;
    if !only.concepts.is_empty() || !only.value_sets.is_empty() {
        return None;
    }
    let text = request.filter.as_deref().map(|text| words(text).join(" ")).filter(|text| !text.is_empty());
    let mut page = Page {
        text,
        active_only: request.active_only || !set.has_inactive,
        selectable_only: request.without_abstract,
        offset: request.offset,
        count,
        ..Page::default()
    };
    for filter in &only.filters {
        match part::branch(filter) {
            Some(branch) => page.within.push(branch),
            None => page.without.push(not_a(filter)?),
        }
    }
    for excluded in &set.exclude {
        exclude(&mut page, &canonical, excluded)?;
    }
    let is_bounded =
        page.within.len() + page.without.len() <= BRANCHES_MAX && page.without_codes.len() <= CODES_MAX;
    is_bounded.then_some((canonical, page))
}

/// The branch that a filter leaves out.
fn not_a(filter: &Filter) -> Option<Branch> {
    let is_a = Filter { op: "is-a".to_owned(), ..filter.clone() };
    part::branch(&is_a).filter(|_| filter.op == "is-not-a")
}

/// Takes away what a part excludes; nothing where that cannot be said of a page.
fn exclude(page: &mut Page, canonical: &Canonical, excluded: &Part) -> Option<()> {
    if !excluded.value_sets.is_empty() {
        return None;
    }
    let Some(of) = part::canonical(excluded).filter(|of| of.url == canonical.url) else {
        // Codes of other systems are none of this one.
        return Some(());
    };
    if of.version != canonical.version {
        return None;
    }
    match (excluded.concepts.as_slice(), excluded.filters.as_slice()) {
        (concepts @ [_, ..], []) => {
            page.without_codes.extend(concepts.iter().map(|listed| listed.code.clone()));
        }
        ([], [filter]) => page.without.push(part::branch(filter)?),
        _ => return None,
    }
    Some(())
}
