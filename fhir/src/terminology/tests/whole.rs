//! Every value set and code system that R4 publishes.

use std::collections::BTreeMap;

use super::*;
use crate::definitions::{Members, r4};

/// Code systems that others publish, or that R4 names without giving their codes, and how many value sets need them.
const ELSEWHERE: &[(&str, usize)] = &[
    ("http://cancer.sanger.ac.uk/cancergenome/projects/cosmic", 1),
    ("http://hl7.org/fhir/CodeSystem/task-code", 1),
    ("http://hl7.org/fhir/ValueSet/dicom-cid29", 1),
    ("http://hl7.org/fhir/ValueSet/usps-state", 1),
    ("http://hl7.org/fhir/sid/cvx", 1),
    ("http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem", 2),
    ("http://loinc.org", 10),
    ("http://nucc.org/provider-taxonomy", 1),
    ("http://snomed.info/sct", 52),
    ("http://unitsofmeasure.org", 3),
    ("http://varnomen.hgvs.org/", 1),
    ("http://www.ama-assn.org/go/cpt", 1),
    ("http://www.ebi.ac.uk/ipd/imgt/hla", 1),
    ("http://www.ensembl.org", 2),
    ("http://www.genenames.org", 1),
    ("http://www.ncbi.nlm.nih.gov/clinvar", 1),
    ("http://www.ncbi.nlm.nih.gov/nuccore", 1),
    ("http://www.ncbi.nlm.nih.gov/projects/SNP", 1),
    ("http://www.sequenceontology.org", 1),
    ("https://precision.fda.gov/apps/", 1),
    ("https://precision.fda.gov/files/", 1),
    ("https://www.iana.org/time-zones", 1),
    ("urn:ietf:bcp:13", 1),
    ("urn:ietf:bcp:47", 1),
    ("urn:iso:std:iso:11073:10101", 1),
    ("urn:iso:std:iso:3166", 4),
    ("urn:iso:std:iso:4217", 1),
];

#[test]
fn every_value_set_is_listed_or_needs_what_others_publish() {
    let mut missing: BTreeMap<String, usize> = BTreeMap::new();
    let mut listed = 0;
    for url in Published::addresses("ValueSet") {
        let set = engine().value_set(url).unwrap();
        match engine().expand(&set, &ExpansionRequest::default()) {
            Ok(expansion) => {
                listed += 1;
                for row in expansion.contains.iter().step_by(17) {
                    assert_eq!(
                        engine().is_member(&set, Some(&row.system), &row.code),
                        Ok(true),
                        "{url} {}",
                        row.code
                    );
                }
            }
            Err(
                ListError::UnknownCodeSystem(system)
                | ListError::PartOfCodeSystem(system)
                | ListError::UnknownValueSet(system)
                | ListError::NotEnumerable(system),
            ) => {
                *missing.entry(system.split('|').next().unwrap().to_owned()).or_default() += 1;
            }
            Err(error) => panic!("{url}: {error}"),
        }
    }
    let missing: Vec<(&str, usize)> = missing.iter().map(|(url, count)| (url.as_str(), *count)).collect();
    assert_eq!(missing, ELSEWHERE);
    assert_eq!(listed, 1222);
}

#[test]
fn every_code_of_a_required_binding_is_a_member() {
    let bindings = r4().structures().iter().flat_map(|structure| structure.elements());
    let mut codes = 0;
    for set in bindings.filter_map(|element| element.binding.as_ref()?.value_set) {
        let Members::Listed(systems) = &set.members else { continue };
        for listed in systems {
            for code in &listed.codes {
                let known = Published.validate_code(set.url, Some(listed.system), code);
                assert_eq!(known, Membership::Member, "{} {}|{code}", set.url, listed.system);
                codes += 1;
            }
        }
    }
    assert!(codes > 2000, "{codes}");
}
