//! Engine processes that a killed server left behind: found by what they are, then stopped.

use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use crate::EngineError;
use crate::process::ENDING_WITHIN;

/// How often a process that was told to end is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Stops every process that runs `program` in `folder`. Signals are sent in turn, each with its time limit, which
/// `is_ending` extends while it says that the last one is being followed.
///
/// # Errors
/// `Leftovers` when some are still there after the last signal's time.
pub(crate) async fn stop(
    program: &'static str,
    folder: &Path,
    signals: &[(Signal, Duration)],
    is_ending: impl Fn() -> bool,
) -> Result<(), EngineError> {
    for (signal, patience) in signals {
        let found = find(program, folder);
        if found.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            engine = program, processes = ?raw(&found), signal = ?signal,
            "stopping processes that an earlier server left behind"
        );
        // Those at the top look after their own children, to whom the same signal means something else.
        for pid in found.iter().filter(|pid| !parent(**pid).is_some_and(|parent| found.contains(&parent))) {
            // It may have ended by itself in the meantime.
            let _ = kill_process(*pid, *signal);
        }
        let sent = Instant::now();
        while sent.elapsed() < *patience || (sent.elapsed() < ENDING_WITHIN && is_ending()) {
            if find(program, folder).is_empty() {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    match find(program, folder).as_slice() {
        [] => Ok(()),
        left => Err(EngineError::Leftovers { engine: program, pids: format!("{:?}", raw(left)) }),
    }
}

/// The processes that run `program` with `folder` as their working directory.
///
/// A process id in a file can be that of somebody else by now; the executable and the working directory of a
/// process cannot. Where the kernel does not show those (another user's process), the command line decides.
pub(crate) fn find(program: &str, folder: &Path) -> Vec<Pid> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let own = std::process::id();
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid) != Ok(own))
        .filter(|pid| is_running_in(&Path::new("/proc").join(pid.to_string()), program, &folder))
        .filter_map(Pid::from_raw)
        .collect()
}

/// The parent of a process: the second field after the name, which may itself hold anything.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    Pid::from_raw(fields.split(' ').nth(1)?.parse().ok()?)
}

fn is_running_in(process: &Path, program: &str, folder: &Path) -> bool {
    match (process.join("exe").read_link(), process.join("cwd").read_link()) {
        (Ok(executable), Ok(directory)) => {
            let name = executable.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.trim_end_matches(" (deleted)") == program && directory == folder
        }
        _ => {
            let Ok(line) = std::fs::read(process.join("cmdline")) else { return false };
            let line = String::from_utf8_lossy(&line);
            let mut arguments = line.split('\0');
            let name = arguments.next().and_then(|first| Path::new(first).file_name()?.to_str());
            name == Some(program) && arguments.any(|argument| Path::new(argument) == folder)
        }
    }
}

/// The numbers of processes, for a message.
fn raw(pids: &[Pid]) -> Vec<i32> {
    pids.iter().map(|pid| pid.as_raw_nonzero().get()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sleeper(folder: &Path) -> std::process::Child {
        Command::new("sleep").arg("60").current_dir(folder).stdin(Stdio::null()).spawn().unwrap()
    }

    #[tokio::test]
    async fn only_the_program_in_the_folder_is_stopped() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut mine, mut other) = (sleeper(here.path()), sleeper(there.path()));
        assert_eq!(find("nats-server", here.path()), []);

        // A zombie is not a running process, so it need not be reaped before the call returns.
        stop("sleep", here.path(), &[(Signal::TERM, Duration::from_secs(10))], || false).await.unwrap();

        assert!(!mine.wait().unwrap().success());
        assert!(other.try_wait().unwrap().is_none(), "a process in another folder was hit");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
