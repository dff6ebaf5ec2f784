//! Which files there are to load, and in which order.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::LoadError;
use super::reading::{ByteCount, Counted};

/// How deep directories are searched: deeper ones are a loop of links rather than data.
const DEPTH_MAX: usize = 16;

/// How much of a file is looked at to see what it holds.
const GLANCE_BYTES: u64 = 64 * 1024;

/// A file to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// Its size on disk, in bytes.
    pub bytes: u64,
    /// Files of a lower stage are sent and answered before any of a higher one.
    pub stage: Stage,
    pub(super) format: Format,
    compression: Compression,
}

/// When a file is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing but organizations and locations.
    Organizations,
    /// What patients share besides: practitioners, their roles and the like.
    Shared,
    /// Everything else.
    Rest,
}

/// How a file is divided into documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON document.
    Document,
    /// One JSON document a line.
    Lines,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Zstandard,
}

/// All files under `paths`, by stage and then by name.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Source>, LoadError> {
    let mut found = Vec::new();
    for path in paths {
        let fail = |error| LoadError::Path { path: path.clone(), error };
        if fs::metadata(path).map_err(fail)?.is_dir() {
            search(path, 0, &mut found).map_err(fail)?;
        } else {
            let source = Source::of(path).map_err(fail)?;
            found.push(source.ok_or_else(|| LoadError::UnknownFormat(path.clone()))?);
        }
    }
    if found.is_empty() {
        return Err(LoadError::NothingFound);
    }
    found.sort_by(|a, b| (a.stage, &a.path).cmp(&(b.stage, &b.path)));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

fn search(directory: &Path, depth: usize, found: &mut Vec<Source>) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Ok(());
    }
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if fs::metadata(&path)?.is_dir() {
            search(&path, depth + 1, found)?;
        } else if let Some(source) = Source::of(&path)? {
            found.push(source);
        }
    }
    Ok(())
}

impl Source {
    /// The file at `path`; `None` when its name does not tell what it holds.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let (name, compression) = match name.rsplit_once('.') {
            Some((rest, "gz")) => (rest, Compression::Gzip),
            Some((rest, "zst")) => (rest, Compression::Zstandard),
            _ => (name.as_str(), Compression::None),
        };
        let format = match name.rsplit_once('.') {
            Some((_, "json")) => Format::Document,
            Some((_, "ndjson" | "jsonl")) => Format::Lines,
            _ => return Ok(None),
        };
        let bytes = fs::metadata(path)?.len();
        let mut source = Self { path: path.to_owned(), bytes, stage: Stage::Rest, format, compression };
        source.stage = source.glance();
        Ok(Some(source))
    }

    /// Opens the file and undoes its compression. Bytes are counted as they come from the disk.
    pub(super) fn open(&self, counter: &ByteCount) -> io::Result<Box<dyn BufRead + Send>> {
        let file = BufReader::new(Counted::new(fs::File::open(&self.path)?, counter.clone()));
        Ok(match self.compression {
            Compression::None => Box::new(file),
            Compression::Gzip => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            Compression::Zstandard => Box::new(BufReader::new(zstd::Decoder::with_buffer(file)?)),
        })
    }

    /// The stage, from the types of resources at the file's beginning. A file that cannot be read shows that
    /// later, when it is its turn.
    fn glance(&self) -> Stage {
        let mut beginning = Vec::new();
        let Ok(reader) = self.open(&ByteCount::default()) else { return Stage::Rest };
        // What was read before an error is still worth a look.
        let _ = reader.take(GLANCE_BYTES).read_to_end(&mut beginning);
        stage_of(&String::from_utf8_lossy(&beginning))
    }
}

/// The stage of a text by the values of all `resourceType` members in it.
fn stage_of(text: &str) -> Stage {
    let mut stage = None;
    for rest in text.split("\"resourceType\"").skip(1) {
        let value =
            rest.trim_start().strip_prefix(':').map(str::trim_start).and_then(|rest| rest.strip_prefix('"'));
        let Some((resource_type, _)) = value.and_then(|rest| rest.split_once('"')) else { continue };
        let of_type = match resource_type {
            "Bundle" => continue,
            "Organization" | "Location" => Stage::Organizations,
            "Practitioner"
            | "PractitionerRole"
            | "HealthcareService"
            | "Endpoint"
            | "OrganizationAffiliation" => Stage::Shared,
            _ => return Stage::Rest,
        };
        stage = stage.max(Some(of_type));
    }
    stage.unwrap_or(Stage::Rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn shared_resources_come_first_then_names_decide() {
        let directory = tempfile::tempdir().unwrap();
        let bundle = |kind: &str| {
            format!(r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType" : "{kind}"}}}}]}}"#)
        };
        write(directory.path(), "b/zoe.json", &bundle("Patient"));
        write(directory.path(), "a.ndjson", "{\"resourceType\":\"Observation\"}\n");
        write(directory.path(), "practitioners.json", &bundle("Practitioner"));
        write(directory.path(), "x/zz-hospitals.json", &bundle("Organization"));
        write(directory.path(), "notes.txt", "nothing");
        let found = find(&[directory.path().to_owned()]).unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|source| source.path.strip_prefix(directory.path()).unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["x/zz-hospitals.json", "practitioners.json", "a.ndjson", "b/zoe.json"]);
    }

    #[test]
    fn a_file_named_twice_is_loaded_once() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "a.json", "{}");
        let both = [directory.path().to_owned(), directory.path().join("a.json")];
        assert_eq!(find(&both).unwrap().len(), 1);
    }

    #[test]
    fn what_cannot_be_loaded_is_said() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "a.txt", "{}");
        let path = |name: &str| directory.path().join(name);
        assert!(matches!(find(&[path("a.txt")]), Err(LoadError::UnknownFormat(_))));
        assert!(matches!(find(&[path("none.json")]), Err(LoadError::Path { .. })));
        assert!(matches!(find(&[directory.path().to_owned()]), Err(LoadError::NothingFound)));
    }

    #[test]
    fn compressed_files_are_recognized_and_read() {
        use std::io::Write as _;
        let directory = tempfile::tempdir().unwrap();
        let text = r#"{"resourceType":"Organization"}"#;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        fs::write(directory.path().join("a.json.gz"), gzip.finish().unwrap()).unwrap();
        let zstandard = zstd::encode_all(text.as_bytes(), 1).unwrap();
        fs::write(directory.path().join("b.ndjson.zst"), zstandard).unwrap();
        for source in find(&[directory.path().to_owned()]).unwrap() {
            assert_eq!(source.stage, Stage::Organizations);
            let (counter, mut read) = (ByteCount::default(), String::new());
            source.open(&counter).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!((read.as_str(), counter.get()), (text, source.bytes));
        }
    }
}
