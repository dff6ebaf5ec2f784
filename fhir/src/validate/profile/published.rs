//! The profiles and extensions that R4 itself publishes, such as its vital signs.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::{Lookup, Profiles, compile};
use crate::json::{Document, Limits};

/// What HL7's package `hl7.fhir.r4.core` has of profiles and extensions, without what R4's types say anyway:
/// made by `make definitions`, one StructureDefinition a line.
static TABLE: &[u8] = include_bytes!("../../../definitions/r4-profiles.ndjson.zst");

/// The unpacked table has less than 1 MB; more is refused.
const UNPACKED_BYTES_MAX: u64 = 16 << 20;

/// R4's own profiles and extensions. The table is unpacked when it is first asked (some milliseconds); each
/// definition is compiled when it is first asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Published;

/// One definition.
struct Row {
    text: &'static str,
    compiled: OnceLock<Lookup>,
}

impl Profiles for Published {
    fn profile(&self, canonical: &str) -> Lookup {
        let (url, version) =
            canonical.split_once('|').map_or((canonical, None), |(url, version)| (url, Some(version)));
        // They all have the version of R4, whose address is often followed by `4.0` or nothing.
        if version.is_some_and(|version| !"4.0.1".starts_with(version)) {
            return Lookup::Unknown;
        }
        match rows().get(url) {
            Some(row) => row.compiled.get_or_init(|| compiled(row.text)).clone(),
            None => Lookup::Unknown,
        }
    }
}

impl Published {
    /// The addresses of all of them, sorted.
    #[must_use]
    pub fn addresses() -> Vec<&'static str> {
        let mut all: Vec<&'static str> = rows().keys().copied().collect();
        all.sort_unstable();
        all
    }
}

fn compiled(text: &'static str) -> Lookup {
    let Ok(document) = Document::parse(text, &Limits::default()) else {
        return Lookup::Broken("it is no JSON".to_owned());
    };
    match compile(document.root(), None) {
        Ok(profile) => Lookup::Known(Arc::new(profile)),
        Err(error) => Lookup::Broken(error.to_string()),
    }
}

fn rows() -> &'static HashMap<&'static str, Row> {
    static ROWS: OnceLock<HashMap<&'static str, Row>> = OnceLock::new();
    ROWS.get_or_init(|| match unpack() {
        Ok(text) => text.lines().filter_map(row).collect(),
        Err(error) => unreachable!("the built-in table of R4 profiles is broken: {error}"),
    })
}

fn unpack() -> Result<&'static str, std::io::Error> {
    let mut text = String::new();
    let decoder = zstd::Decoder::new(TABLE)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(decoder, UNPACKED_BYTES_MAX), &mut text)?;
    Ok(Box::leak(text.into_boxed_str()))
}

/// The address stands first in each line, as the generator writes it.
fn row(text: &'static str) -> Option<(&'static str, Row)> {
    let url = text.strip_prefix("{\"url\":\"")?.split('"').next()?;
    Some((url, Row { text, compiled: OnceLock::new() }))
}
