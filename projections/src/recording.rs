//! Recorded logs: the events of a log in a folder, as they were stored, and what projections must make of them.
//!
//! A recording is text: `events.ndjson` (or `events.ndjson.zst`) has one event a line with every field of its envelope
//! and its body to the byte, `expected.json` what follows from them, and `expected-2.json` and its like what follows in
//! later forms of the rows. Projections are replayed from it without a log:
//! the same digests, however the events are cut and delivered, today and with every later version of this program.

mod expected;
mod line;
mod replay;

use std::io::Write;
use std::path::{Path, PathBuf};

use anamnesis_events::upcast::{UPCASTERS, Upcaster, upcast};
use anamnesis_events::{Event, Kind, Position, envelope};

pub use expected::{Expected, ExpectedParked, ExpectedSearch};
pub use replay::{Replay, ReplayFeed};

/// The names of the files.
const EVENTS: &str = "events.ndjson";
const EVENTS_COMPRESSED: &str = "events.ndjson.zst";
/// A recording that is longer than this, in bytes, is compressed: text is easier to look at.
const PLAIN_BYTES_MAX: usize = 64 << 10;
/// The level of compression: a small recording is written once and kept for ever, beside programs.
const LEVEL: i32 = 19;
/// A longer one, in bytes of text, is compressed at a lower level: most of the time would go into it otherwise, 45 s of it
/// for 88 000 events.
const SMALL_BYTES_MAX: usize = 8 << 20;
const LEVEL_OF_LARGE: i32 = 9;
/// The longest recording that is read, in bytes. It is held in memory.
const BYTES_MAX: u64 = 1 << 30;

/// Why a recording could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// A file operation failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is not what it must be.
    #[error("{}:{line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// The events are not those that were recorded.
    #[error("the recording is broken at position {position}: {reason}")]
    Broken {
        /// Where.
        position: Position,
        /// What is wrong.
        reason: &'static str,
    },
    /// An event has a version of its kind that this program does not know.
    #[error(
        "the event at position {position} has version {kind_version} of {kind}, which this program does not know: \
         use a newer one"
    )]
    UnknownVersion {
        /// Where.
        position: Position,
        /// The kind.
        kind: Kind,
        /// The version.
        kind_version: u16,
    },
}

impl RecordingError {
    fn io(path: &Path) -> impl FnOnce(std::io::Error) -> RecordingError {
        let path = path.to_owned();
        move |source| RecordingError::Io { path, source }
    }
}

/// The events of a log from its first one on, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    workspace: String,
    events: Vec<Event>,
}

impl Recording {
    /// A recording of these events of the workspace's log.
    #[must_use]
    pub fn new(workspace: impl Into<String>, events: Vec<Event>) -> Self {
        Self { workspace: workspace.into(), events }
    }

    /// The workspace whose log it is of.
    #[must_use]
    pub fn workspace(&self) -> &str {
        &self.workspace
    }

    /// The events, as they were stored.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Checks that positions are dense from 1 on and every hash follows.
    ///
    /// # Errors
    /// [`RecordingError::Broken`] with the first position that is not as it was recorded.
    pub fn check(&self) -> Result<(), RecordingError> {
        let (mut position, mut hash) = (Position::ZERO, envelope::genesis(&self.workspace));
        for event in &self.events {
            position = position.next();
            if event.position != position {
                return Err(RecordingError::Broken { position, reason: "the event is missing" });
            }
            if envelope::chain(&hash, event) != event.hash {
                return Err(RecordingError::Broken { position, reason: "its hash does not follow" });
            }
            hash = event.hash;
        }
        Ok(())
    }

    /// The events as projections get them: in the newest version of their kinds.
    ///
    /// # Errors
    /// [`RecordingError::UnknownVersion`] for events that are newer than this program.
    pub fn replay(&self) -> Result<Replay, RecordingError> {
        self.replay_with(Kind::current_version, UPCASTERS)
    }

    /// The same with other steps: what a later program, or one that a test pretends, would have.
    ///
    /// # Errors
    /// [`RecordingError::UnknownVersion`] where steps are missing, or for events that are newer.
    pub fn replay_with(&self, newest: fn(Kind) -> u16, steps: &[Upcaster]) -> Result<Replay, RecordingError> {
        let brought_up = self.events.iter().map(|event| {
            let (position, kind, kind_version) = (event.position, event.kind, event.kind_version);
            upcast(event.clone(), newest(kind), steps).ok_or(RecordingError::UnknownVersion {
                position,
                kind,
                kind_version,
            })
        });
        Ok(Replay::new(brought_up.collect::<Result<_, _>>()?))
    }

    /// Reads the events of a recording in this folder, and what is expected of them. The chain is not checked.
    ///
    /// # Errors
    /// When a file is missing or not what it must be.
    pub fn read(folder: &Path) -> Result<(Self, Expected), RecordingError> {
        let expected = Expected::read_all(folder)?;
        let (path, text) = read_events(folder)?;
        let events = text.lines().enumerate().map(|(at, text)| {
            line::parse(text).map_err(|reason| RecordingError::Line {
                path: path.clone(),
                line: at + 1,
                reason,
            })
        });
        let events = events.collect::<Result<_, _>>()?;
        Ok((Self { workspace: expected.workspace.clone(), events }, expected))
    }

    /// Writes the events and what is expected of them into a folder, which is made and must not be there before. Only
    /// the user who made them can read folder and files. What was made is taken away again where it cannot be finished.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, folder: &Path, expected: &Expected) -> Result<(), RecordingError> {
        make_folder(folder).map_err(RecordingError::io(folder))?;
        let written = self.write_files(folder, expected);
        if written.is_err() {
            // These files and the folder itself, if nobody has put anything else into it.
            let names = expected.texts().into_iter().map(|(name, _)| name);
            for name in [EVENTS, EVENTS_COMPRESSED].map(str::to_owned).into_iter().chain(names) {
                let _ = std::fs::remove_file(folder.join(name));
            }
            let _ = std::fs::remove_dir(folder);
        }
        written
    }

    fn write_files(&self, folder: &Path, expected: &Expected) -> Result<(), RecordingError> {
        let mut text = Vec::new();
        for event in &self.events {
            line::write(&mut text, event);
        }
        let (name, bytes) = match text.len() > PLAIN_BYTES_MAX {
            true => {
                let compressed = zstd::bulk::compress(&text, level(text.len()));
                (EVENTS_COMPRESSED, compressed.map_err(RecordingError::io(folder))?)
            }
            false => (EVENTS, text),
        };
        let expected = expected.texts().into_iter().map(|(name, text)| (name, text.into_bytes()));
        for (name, bytes) in [(name.to_owned(), bytes)].into_iter().chain(expected) {
            let path = folder.join(name);
            let file = make_file(&path);
            file.and_then(|mut file| file.write_all(&bytes)).map_err(RecordingError::io(&path))?;
        }
        Ok(())
    }
}

/// Resources in full are in it: nobody else may look into it.
fn make_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn make_file(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn level(bytes: usize) -> i32 {
    if bytes <= SMALL_BYTES_MAX { LEVEL } else { LEVEL_OF_LARGE }
}

fn read_events(folder: &Path) -> Result<(PathBuf, String), RecordingError> {
    use std::io::Read;
    let (plain, compressed) = (folder.join(EVENTS), folder.join(EVENTS_COMPRESSED));
    let path = if plain.exists() { plain } else { compressed };
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|file| {
        let is_compressed = path.extension().is_some_and(|extension| extension == "zst");
        let reader: Box<dyn Read> = match is_compressed {
            true => Box::new(zstd::stream::read::Decoder::new(file)?),
            false => Box::new(file),
        };
        reader.take(BYTES_MAX).read_to_string(&mut text)
    });
    read.map_err(RecordingError::io(&path))?;
    Ok((path, text))
}
