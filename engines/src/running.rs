//! Where the engines of a running server are: written down by the server, for programs that look at its store.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::EngineError;
use crate::lock::LOCK_FILE;

/// The name of the file in the data folder. It names no secrets, but nobody else needs it either.
const FILE: &str = "engines.addresses";

/// Where the engines of a running server are.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Addresses {
    /// The process that runs them: a server, or a command that looks at a store without one.
    pub pid: u32,
    /// The private database; `None` where that process uses another one.
    pub database_url: Option<String>,
    /// The private NATS; `None` where that process uses another one.
    pub nats_url: Option<String>,
}

impl std::fmt::Debug for Addresses {
    // An address may hold a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Addresses").field("pid", &self.pid).finish_non_exhaustive()
    }
}

/// Where the engines of the server on this data folder are; `None` when no server runs there.
///
/// What a killed server wrote down is not believed: the lock of the data folder decides whether a server lives.
///
/// ```no_run
/// # fn example() -> Result<(), anamnesis_engines::EngineError> {
/// if let Some(addresses) = anamnesis_engines::running("data".as_ref())? {
///     println!("process {} has {:?}", addresses.pid, addresses.database_url);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Unsettled` while a server starts or stops; `Io` when the files of the folder cannot be read, as those of another
/// user.
pub fn running(data: &Path) -> Result<Option<Addresses>, EngineError> {
    let path = data.join(LOCK_FILE);
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(EngineError::io("could not open", &path)(error)),
    };
    match lock.try_lock_shared() {
        // Given back when the file is closed, at the end of this function.
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(source)) => return Err(EngineError::io("could not look at", &path)(source)),
    }
    let holder = std::fs::read_to_string(&path).map_err(EngineError::io("could not read", &path))?;
    let path = data.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(EngineError::io("could not read", &path)(error)),
    };
    match Addresses::parse(&text) {
        // What another process wrote is of an earlier server, which was killed.
        Some(addresses) if addresses.pid.to_string() == holder.trim() => Ok(Some(addresses)),
        _ => Err(EngineError::Unsettled { folder: data.to_owned(), pid: holder.trim().to_owned() }),
    }
}

impl Addresses {
    fn text(&self) -> String {
        let mut text = format!("pid {}\n", self.pid);
        for (name, url) in [("database", &self.database_url), ("nats", &self.nats_url)] {
            text.extend(url.iter().map(|url| format!("{name} {url}\n")));
        }
        text.push_str("end\n");
        text
    }

    /// `None` where the text is not whole.
    fn parse(text: &str) -> Option<Addresses> {
        let mut pid = None;
        let (mut database_url, mut nats_url) = (None, None);
        for line in text.strip_suffix("end\n")?.lines() {
            match line.split_once(' ')? {
                ("pid", number) => pid = number.parse().ok(),
                ("database", url) => database_url = Some(url.to_owned()),
                ("nats", url) => nats_url = Some(url.to_owned()),
                // A later version may say more.
                _ => {}
            }
        }
        Some(Addresses { pid: pid?, database_url, nats_url })
    }
}

/// The addresses as written down; taken back when dropped.
#[derive(Debug)]
pub(crate) struct Published {
    path: PathBuf,
}

impl Published {
    /// Takes away what a killed server has left. Called by whoever has just taken the lock.
    pub(crate) fn clear(data: &Path) -> Result<(), EngineError> {
        let path = data.join(FILE);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(EngineError::io("could not remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Writes the addresses down, whole or not at all, readable by this user only.
    pub(crate) fn write(data: &Path, addresses: &Addresses) -> Result<Published, EngineError> {
        let path = data.join(FILE);
        let fresh = data.join(format!("{FILE}.new"));
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh);
        file.and_then(|mut file| file.write_all(addresses.text().as_bytes()))
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(EngineError::io("could not write", &path))?;
        Ok(Published { path })
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // If it stays, the lock says that it is not to be believed.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::lock;

    fn addresses(pid: u32) -> Addresses {
        Addresses { pid, database_url: Some("postgresql:///a?host=/b c".into()), nats_url: None }
    }

    #[test]
    fn what_is_written_is_read_back_while_the_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(running(folder.path()).unwrap(), None);
        let lock = lock::take(folder.path()).unwrap();
        assert!(matches!(running(folder.path()), Err(EngineError::Unsettled { .. })));
        let ours = addresses(std::process::id());
        let published = Published::write(folder.path(), &ours).unwrap();
        assert_eq!(running(folder.path()).unwrap(), Some(ours));
        let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(published);
        assert!(matches!(running(folder.path()), Err(EngineError::Unsettled { .. })));
        drop(lock);
        assert_eq!(running(folder.path()).unwrap(), None);
    }

    #[test]
    fn what_a_killed_server_left_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        drop(lock::take(folder.path()).unwrap());
        let left = Published::write(folder.path(), &addresses(1)).unwrap();
        assert_eq!(running(folder.path()).unwrap(), None);
        // Nor when another server has come since, which has not said anything yet.
        let _lock = lock::take(folder.path()).unwrap();
        assert!(matches!(running(folder.path()), Err(EngineError::Unsettled { .. })));
        Published::clear(folder.path()).unwrap();
        assert!(!left.path.exists());
    }

    #[test]
    fn half_a_file_is_no_address() {
        let whole = addresses(7).text();
        assert_eq!(Addresses::parse(&whole), Some(addresses(7)));
        for end in 0..whole.len() {
            assert_eq!(Addresses::parse(&whole[..end]), None);
        }
    }
}
