//! How much one search may ask for. Each criterion, each value of a list and each link of a chain is work for the index, and a
//! request line has room for thousands of them.

use crate::error::{Failure, FailureKind, IssueCode};

/// The most of one search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complexity {
    /// Criteria, those that are linked included.
    pub criteria_max: usize,
    /// Alternatives of one criterion (`a,b,c`).
    pub values_max: usize,
    /// Links of all criteria: `subject.organization.name` has two, each `_has` one.
    pub links_max: usize,
    /// `_include` and `_revinclude` together.
    pub includes_max: usize,
}

impl Default for Complexity {
    fn default() -> Self {
        // Far from what people and generated forms ask for, and near to what one statement of the index still answers well.
        Self { criteria_max: 64, values_max: 2000, links_max: 24, includes_max: 64 }
    }
}

impl Complexity {
    /// Refuses a search that asks for more.
    ///
    /// # Errors
    /// 400 that says what there is too much of.
    pub(super) fn check(&self, parameters: &[(String, String)]) -> Result<(), Failure> {
        let is_include = |name: &str| {
            let name = name.split(':').next().unwrap_or_default();
            matches!(name, "_include" | "_revinclude")
        };
        let criteria = || parameters.iter().filter(|(name, _)| !is_include(name));
        let values = criteria().map(|(_, value)| value.matches(',').count() + 1).max().unwrap_or(0);
        let links = criteria().map(|(name, _)| links(name)).sum();
        let includes = parameters.len() - criteria().count();
        for (count, most, what) in [
            (criteria().count(), self.criteria_max, "criteria"),
            (values, self.values_max, "alternatives of one criterion"),
            (links, self.links_max, "links of chained criteria"),
            (includes, self.includes_max, "_include and _revinclude"),
        ] {
            if count > most {
                let text = format!("The search has {count} {what}; this server takes up to {most}.");
                return Err(Failure::new(FailureKind::Invalid, IssueCode::TooCostly, text));
            }
        }
        Ok(())
    }
}

/// The links of a criterion. A dot in a modifier's place is none that counts twice: `_has:A:b:c.d` has two.
fn links(name: &str) -> usize {
    let reverse = name.matches("_has:").count();
    reverse + name.matches('.').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(query: &[(&str, &str)]) -> Vec<(String, String)> {
        query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_bound_is_told_and_what_is_within_passes() {
        let most = Complexity { criteria_max: 2, values_max: 3, links_max: 2, includes_max: 1 };
        for (query, told) in [
            (vec![("a", "1"), ("b", "1")], None),
            (vec![("a", "1"), ("b", "1"), ("c", "1")], Some("3 criteria")),
            (vec![("a", "1,2,3")], None),
            (vec![("a", "1,2,3,4")], Some("4 alternatives")),
            (vec![("subject:Patient.organization.name", "1")], None),
            (vec![("_has:A:b:_has:C:d:e.f", "1")], Some("3 links")),
            (vec![("_include", "A:b")], None),
            (vec![("_include", "A:b"), ("_revinclude:iterate", "C:d")], Some("2 _include")),
        ] {
            let checked = most.check(&parameters(&query));
            match told {
                None => checked.unwrap(),
                Some(told) => {
                    let text = checked.unwrap_err().issues()[0].diagnostics.to_string();
                    assert!(text.contains(told), "{text}");
                }
            }
        }
    }
}
