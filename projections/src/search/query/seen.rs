//! The clause that a [`Restriction`] is on the rows of the index.

use std::collections::HashSet;

use anamnesis_fhir::definitions;

use super::parse::Parser;
use super::{Catalogue, ParseOptions};
use crate::search::atom::{Atom, Criterion, Join, Seen, Yield};
use crate::search::contained::of_container;
use crate::search::key::type_number;
use crate::search::restriction::{Restriction, Visible};
use crate::search::shelf::Shelf;
use crate::search::special;

/// That rows of these types can be seen; nothing where all can.
pub(crate) fn seen(catalogue: &Catalogue, log: i16, options: &ParseOptions, types: &[&str]) -> Seen {
    let Some(restriction) = options.restriction.as_deref().filter(|restriction| !restriction.is_none())
    else {
        return Seen::default();
    };
    let clause = Clause { catalogue, log, options, restriction };
    Seen { standing: clause.standing(types), contained: vec![clause.contained()] }
}

/// Whether all criteria by which something of a type can be seen are understood.
pub(crate) fn is_understood(catalogue: &Catalogue, log: i16, options: &ParseOptions, name: &str) -> bool {
    let Some(restriction) = options.restriction.as_deref() else { return true };
    let clause = Clause { catalogue, log, options, restriction };
    restriction.of(name).iter().all(|visible| clause.visible(name, visible).is_some())
}

/// The types with these numbers.
pub(crate) fn types_of(kinds: &[i32]) -> Vec<&'static str> {
    let kinds: HashSet<i32> = kinds.iter().copied().collect();
    let all = definitions::r4().resource_types().iter().copied();
    all.filter(|name| kinds.contains(&type_number(name))).collect()
}

/// Adds to all joins that what is joined can be seen.
pub(super) fn through_what_is_seen(
    criteria: Vec<Criterion>,
    of_kinds: &impl Fn(&[i32]) -> Seen,
) -> Vec<Criterion> {
    let of_atom = |atom| match atom {
        Atom::Join(join) => {
            let seen = of_kinds(&join.kinds);
            Atom::Join(Join { criteria: through_what_is_seen(join.criteria, of_kinds), seen, ..join })
        }
        Atom::All(all) => Atom::All(through_what_is_seen(all, of_kinds)),
        other => other,
    };
    let of_criterion = |one: Criterion| Criterion { any: one.any.into_iter().map(of_atom).collect(), ..one };
    criteria.into_iter().map(of_criterion).collect()
}

/// What is needed to write it.
struct Clause<'a> {
    catalogue: &'a Catalogue,
    log: i16,
    options: &'a ParseOptions,
    restriction: &'a Restriction,
}

impl Clause<'_> {
    /// On rows of what stands for itself. Before it comes what a search can start from, where there is such.
    fn standing(&self, types: &[&str]) -> Vec<Criterion> {
        if types.iter().all(|name| self.restriction.has_all(name)) {
            return Vec::new();
        }
        let (mut any, mut expected) = (Vec::new(), Yield::Few);
        for name in types {
            if self.restriction.has_all(name) {
                // Searched apart from the others, which alone say how many are left.
                any.push(Atom::Kind(type_number(name)));
                continue;
            }
            for visible in self.restriction.of(name) {
                let Some((atoms, leaves)) = self.visible(name, visible) else { continue };
                any.extend(atoms);
                expected = expected.max(leaves);
            }
        }
        let clause = Criterion::any(any, expected);
        clause.necessary().into_iter().chain([clause]).collect()
    }

    /// On rows of what others contain: that the container can be seen, as far as a row says so. It has the compartments of
    /// its container and nothing else of it, so that what contains it has to be in one, whatever else it is.
    fn contained(&self) -> Criterion {
        let mut any = Vec::new();
        for name in self.restriction.types() {
            let whole = self.restriction.of(name).iter().filter(|visible| visible.criteria.is_empty());
            let tokens = whole.filter_map(|visible| Some(self.tokens(name, visible.within.as_ref()?)));
            any.extend(tokens.flatten().map(of_container).map(Atom::Token));
        }
        Criterion::any(any, Yield::Few)
    }

    /// Of one choice: atoms of which a row has one, and how many rows they leave. `None` where criteria cannot be
    /// understood: by that choice nothing can be seen.
    fn visible(&self, name: &str, visible: &Visible) -> Option<(Vec<Atom>, Yield)> {
        let within = visible.within.as_ref().map(|owner| self.tokens(name, owner));
        let tokens = within.map(|tokens| tokens.into_iter().map(Atom::Token).collect::<Vec<_>>());
        if visible.criteria.is_empty()
            && let Some(tokens) = tokens
        {
            // They have the type in them.
            return Some((tokens, Yield::Few));
        }
        let kind = Criterion::any(vec![Atom::Kind(type_number(name))], Yield::Most);
        let within = tokens.map(|tokens| Criterion::any(tokens, Yield::Few));
        let mut all: Vec<Criterion> = within.into_iter().chain([kind]).collect();
        let mut parser = Parser::of(self.catalogue, self.log, self.options.unrestricted());
        for (code, value) in &visible.criteria {
            all.push(parser.criterion(&[name.to_owned()], code, value, 0).ok()?);
        }
        let leaves = all.iter().map(|one| one.expected).min().unwrap_or(Yield::Most);
        Some((vec![Atom::All(all)], leaves))
    }

    /// The tokens of rows that are in a compartment.
    fn tokens(&self, name: &str, (owner_type, owner_id): &(String, String)) -> Vec<i64> {
        let mut atoms =
            special::compartment(&self.catalogue.registry, self.log, (owner_type, owner_id), name);
        if name == owner_type {
            // The owner's own comes first. Others of its type that link to it are other people.
            atoms.truncate(1);
        }
        let token = |atom| if let Atom::Token(token) = atom { Some(token) } else { None };
        atoms.into_iter().filter_map(token).collect()
    }
}

impl Seen {
    /// The clause on the rows of a shelf.
    pub(crate) fn on(&self, shelf: Shelf) -> &[Criterion] {
        match shelf {
            Shelf::Standing => &self.standing,
            Shelf::Contained => &self.contained,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::search::{Handling, Scope, SearchQuery};

    fn restriction() -> Restriction {
        let mut restriction = Restriction::default();
        restriction.allow("Observation", Visible::within("Patient", "a"));
        restriction.allow("Patient", Visible::within("Patient", "a"));
        restriction.allow("Organization", Visible::all());
        restriction
    }

    fn read(scope: Scope, parameters: &[(&str, &str)]) -> SearchQuery {
        let options = ParseOptions {
            handling: Handling::Strict,
            restriction: Some(Arc::new(restriction())),
            ..ParseOptions::at(chrono::DateTime::UNIX_EPOCH)
        };
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SearchQuery::parse(&Catalogue::r4(), 1, &scope, &parameters, &options).unwrap().0
    }

    /// Every join, at whatever depth, has the clause.
    fn check(criteria: &[Criterion]) -> usize {
        let mut joins = 0;
        for atom in criteria.iter().flat_map(|one| &one.any) {
            match atom {
                Atom::Join(join) => {
                    let of_all = types_of(&join.kinds).iter().all(|name| restriction().has_all(name));
                    assert!(of_all || !join.seen.standing.is_empty(), "{join:?}");
                    assert!(!join.seen.contained.is_empty(), "{join:?}");
                    joins += 1 + check(&join.criteria);
                }
                Atom::All(all) => joins += check(all),
                _ => {}
            }
        }
        joins
    }

    #[test]
    fn each_link_of_a_query_has_the_clause() {
        let of = |name: &str| Scope::Type(name.to_owned());
        for (scope, name, value, expected) in [
            (of("Observation"), "subject:Patient.name", "x", 1),
            (of("Observation"), "subject:Patient.organization.name", "x", 2),
            (of("Patient"), "_has:Observation:patient:code", "x", 1),
            (of("Patient"), "_has:Observation:patient:performer:Organization.name", "x", 2),
            (of("Patient"), "_has:Observation:patient:_has:Provenance:target:agent", "x", 2),
            (of("Observation"), "_filter", "subject.name eq x or not (performer:Patient.name eq y)", 6),
            (of("Observation"), "_list", "1", 1),
            (of("Observation"), "_not-referenced", "*:*", 1),
            (Scope::System, "_list", "1", 1),
        ] {
            let query = read(scope, &[(name, value)]);
            assert!(check(&query.criteria) >= expected.min(2), "{name}");
        }
    }

    #[test]
    fn a_page_of_one_is_not_a_page_of_another() {
        let of_all = SearchQuery::parse(
            &Catalogue::r4(),
            1,
            &Scope::Type("Observation".to_owned()),
            &[],
            &ParseOptions::at(chrono::DateTime::UNIX_EPOCH),
        );
        let bounded = read(Scope::Type("Observation".to_owned()), &[]);
        assert_ne!(of_all.unwrap().0.fingerprint, bounded.fingerprint);
    }
}
