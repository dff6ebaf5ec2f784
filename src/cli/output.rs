//! What a command prints: a closed pipe ends it quietly, and every other failure is told.

use std::io::{self, Write};

use anyhow::Context as _;

/// Writes to standard output at once. False where nobody reads any more (`| head`), which is no failure.
///
/// # Errors
/// When it cannot be written: a full disk, for instance.
pub(super) fn write(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut out = io::stdout().lock();
    goes_on(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Prints a line.
///
/// # Errors
/// As [`write`].
pub(super) fn line(text: &str) -> anyhow::Result<()> {
    write(format!("{text}\n").as_bytes()).map(|_goes_on| ())
}

/// Whether there is somebody who reads on, after something was written.
///
/// # Errors
/// As [`write`].
pub(super) fn goes_on(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("the output cannot be written"),
    }
}

/// The same for work that ended with an error: a closed pipe is none.
///
/// # Errors
/// Every other one.
pub(super) fn unless_closed(outcome: anyhow::Result<()>) -> anyhow::Result<()> {
    match outcome.map_err(anyhow::Error::downcast::<io::Error>) {
        Ok(()) => Ok(()),
        Err(Ok(error)) => goes_on(Err(error)).map(|_goes_on| ()),
        Err(Err(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_no_failure() {
        assert!(goes_on(Ok(())).unwrap());
        assert!(!goes_on(Err(io::ErrorKind::BrokenPipe.into())).unwrap());
        let error = goes_on(Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert!(error.to_string().contains("the output cannot be written"), "{error}");
    }
}
