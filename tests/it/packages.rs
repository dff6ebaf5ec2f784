//! FHIR packages: installed by the ordinary way of a write, any number of times.

use std::io::Write;

use anamnesis::packages::{HttpTarget, Package, install};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::test;

/// A package of these files, in a folder that goes away with it.
fn package(version: &str, files: &[Value]) -> Package {
    let manifest = json!({"name": "org.example", "version": version, "fhirVersions": ["4.0.1"]});
    let named = files.iter().enumerate().map(|(index, file)| (format!("package/{index}.json"), file));
    let mut archive = Vec::new();
    for (name, file) in named.chain([("package/package.json".to_owned(), &manifest)]) {
        let text = file.to_string();
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", text.len()).as_bytes());
        header[148..157].copy_from_slice(b"        0");
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(text.as_bytes());
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("package.tgz");
    let mut encoder = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    encoder.write_all(&archive).unwrap();
    encoder.finish().unwrap();
    Package::read(&path).unwrap()
}

fn profile(version: &str, min: u32) -> Value {
    json!({
        "resourceType": "StructureDefinition", "id": "p", "url": "http://example.org/p", "version": version, "name": "P",
        "status": "active", "kind": "resource", "abstract": false, "type": "Patient", "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient.name", "path": "Patient.name", "min": min}]}
    })
}

#[test]
fn a_package_is_installed_once_and_its_profiles_count() {
    test(|server| async move {
        let target = HttpTarget::new(&server.base.parse().unwrap(), HeaderMap::new()).unwrap();
        let guide = json!({"resourceType": "ImplementationGuide", "id": "g", "url": "http://example.org/g", "version": "1",
            "name": "G", "status": "active", "packageId": "org.example", "fhirVersion": ["4.0.1"]});
        let broken = json!({"resourceType": "ValueSet", "url": "http://example.org/v", "status": "nonsense"});
        let first = package("1.0.0", &[profile("1.0.0", 1), broken, guide]);
        let report = install(&first, &target).await;
        assert_eq!((report.created, report.kept, report.failed.len()), (2, 0, 1));
        assert!(
            report.failed[0].starts_with("ValueSet http://example.org/v: the server answered 400"),
            "{report:?}"
        );
        assert!(target.installed().await.unwrap().contains("org.example"));
        let written = server.events().await;
        let again = install(&first, &target).await;
        assert_eq!((again.created, again.kept, server.events().await), (0, 2, written));

        let nobody = json!({"resourceType": "Patient", "meta": {"profile": ["http://example.org/p|1.0.0"]}})
            .to_string();
        let refused = server.post("/Patient/$validate", nobody.clone()).await;
        assert!(refused.text().contains("Patient.name"), "{}", refused.text());

        // Another version has the same id in its package, and stands beside the first one.
        let second = package("2.0.0", &[profile("2.0.0", 0)]);
        assert_eq!(install(&second, &target).await.created, 1);
        assert!(server.post("/Patient/$validate", nobody.clone()).await.text().contains("Patient.name"));
        let newer = nobody.replace("|1.0.0", "");
        assert!(!server.post("/Patient/$validate", newer).await.text().contains("Patient.name"));
    });
}
