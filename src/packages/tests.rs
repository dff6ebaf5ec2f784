//! Packages that are read, and those that are refused.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use std::collections::BTreeSet;

use super::*;

/// A tar archive of files, and of entries of other kinds.
fn tar(entries: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, kind, bytes) in entries {
        let mut header = [0u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[156] = *kind;
        header[257..262].copy_from_slice(b"ustar");
        header[148..156].fill(b' ');
        let sum: u64 = header.iter().map(|byte| u64::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&header);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn read(archive: &[u8]) -> Result<Package, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("package.tgz");
    let mut encoder = GzEncoder::new(std::fs::File::create(&path).unwrap(), Compression::fast());
    encoder.write_all(archive).unwrap();
    encoder.finish().unwrap();
    Package::read(&path).map_err(|error| error.to_string())
}

const MANIFEST: &[u8] = br#"{"name":"org.example","version":"1.0.0","fhirVersions":["4.0.1"],
    "dependencies":{"hl7.fhir.r4.core":"4.0.1","hl7.fhir.us.core":"3.1.1"}}"#;
const SET: &[u8] =
    br#"{"resourceType":"ValueSet","id":"a","url":"http://example.org/a","version":"1","status":"active"}"#;
const PROFILE: &[u8] = br#"{"resourceType":"StructureDefinition","id":"b","url":"http://example.org/b"}"#;

#[test]
fn conformance_resources_are_read_in_the_order_in_which_they_are_written() {
    let long = format!("package/{}.json", "n".repeat(120));
    let pax = format!("{} path={long}\n", long.len() + 10);
    let package = read(&tar(&[
        ("package", b'5', b""),
        ("package/StructureDefinition-b.json", b'0', PROFILE),
        ("package/package.json", b'0', MANIFEST),
        ("package/.index.json", b'0', b"{}"),
        ("package/example/Patient-c.json", b'0', b"no JSON, and not looked at"),
        ("package/Patient-c.json", b'0', br#"{"resourceType":"Patient","id":"c"}"#),
        ("package/d.json", b'0', br#"{"resourceType":"ValueSet","id":"d"}"#),
        ("PaxHeader", b'x', pax.as_bytes()),
        ("package/short", b'0', SET),
    ]))
    .unwrap();
    assert_eq!((package.name.as_str(), package.version.as_str()), ("org.example", "1.0.0"));
    assert_eq!(package.dependencies, [("hl7.fhir.us.core".to_owned(), "3.1.1".to_owned())]);
    let found: Vec<_> = package.resources.iter().map(|row| (row.resource_type, row.url.as_str())).collect();
    assert_eq!(
        found,
        [("ValueSet", "http://example.org/a"), ("StructureDefinition", "http://example.org/b")]
    );
    assert_eq!(package.unnamed, ["ValueSet in d.json"]);
    assert!(!String::from_utf8_lossy(&package.resources[0].body).contains("\"id\""));
    assert_eq!(missing(&package, &BTreeSet::new()), ["hl7.fhir.us.core#3.1.1"]);
    assert!(missing(&package, &BTreeSet::from(["hl7.fhir.us.core".to_owned()])).is_empty());
}

#[test]
fn what_is_no_package_is_refused() {
    let manifest = ("package/package.json", b'0', MANIFEST);
    let r5 = br#"{"name":"a","fhirVersions":["5.0.0"]}"#;
    for (archive, reason) in [
        (tar(&[("package/a.json", b'0', SET)]), "package.json"),
        (tar(&[manifest, ("../a.json", b'0', SET)]), "leads out"),
        (tar(&[manifest, ("/package/a.json", b'0', SET)]), "leads out"),
        (tar(&[manifest, ("package/../../a.json", b'0', SET)]), "leads out"),
        (tar(&[manifest, ("package/a.json", b'2', b"")]), "link"),
        (tar(&[manifest, ("package/a.json", b'0', b"{")]), "a.json"),
        (tar(&[("package/package.json", b'0', r5)]), "5.0.0"),
        (vec![b'a'; 2048], "no tar"),
        (tar(&[manifest])[..700].to_vec(), "ends in the middle"),
    ] {
        let refused = read(&archive).expect_err(reason);
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn an_archive_that_unpacks_to_too_much_is_refused() {
    // A file that says it is larger than may be: nothing of it is read.
    let mut archive = tar(&[("package/a.json", b'0', b"")]);
    archive[124..135].copy_from_slice(b"00400000000");
    archive[148..156].fill(b' ');
    let sum: u64 = archive[..512].iter().map(|byte| u64::from(*byte)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(read(&archive).expect_err("too large").contains("more than"));
}

proptest::proptest! {
    #[test]
    fn arbitrary_archives_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2048)) {
        let _refused = read(&bytes);
    }
}
