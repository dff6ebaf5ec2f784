//! One server per data folder: a file lock that the kernel releases when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use crate::EngineError;

/// The name of the lock file in the data folder.
pub(crate) const LOCK_FILE: &str = "anamnesis.lock";

/// Whoever looks whether a server has the folder holds the lock for a moment; nobody does for this long.
const LOOKED_AT_TRIES: u32 = 10;
const LOOKED_AT_PAUSE: Duration = Duration::from_millis(20);

/// Held as long as this process owns the data folder.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

/// As [`take`], but somebody who only looks at the lock (see [`crate::running`]) is no obstacle.
///
/// # Errors
/// As those of [`take`].
pub(crate) async fn take_patiently(data: &Path) -> Result<DataLock, EngineError> {
    for _ in 0..LOOKED_AT_TRIES {
        match take(data) {
            Err(EngineError::InUse { .. }) => tokio::time::sleep(LOOKED_AT_PAUSE).await,
            taken => return taken,
        }
    }
    take(data)
}

/// Takes the data folder for this process and writes the process id into the lock file.
///
/// # Errors
/// `InUse` with the holder's process id when another process has it.
pub(crate) fn take(data: &Path) -> Result<DataLock, EngineError> {
    let path = data.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(EngineError::io("could not open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // An unreadable holder is still a holder.
            let _ = file.read_to_string(&mut pid);
            let pid = match pid.trim() {
                "" => "unknown".to_owned(),
                pid => pid.to_owned(),
            };
            return Err(EngineError::InUse { folder: data.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(EngineError::io("could not lock", &path)(source)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .and_then(|()| file.sync_all());
    written.map_err(EngineError::io("could not write", &path))?;
    Ok(DataLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_process_id_until_the_first_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path()).unwrap();
        let refused = take(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        drop(first);
        // A process that another test starts at this moment holds a copy of the file until it runs its program.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while let Err(error) = take(folder.path()) {
            assert!(std::time::Instant::now() < deadline, "{error}");
            std::thread::yield_now();
        }
    }
}
