//! One child process: started away from the terminal, logging to a file, told to end when its parent dies.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::EngineError;
use crate::account::Account;

/// How long a process may take to end while it can be seen to be ending: Postgres writes out all that it has in
/// memory.
pub(crate) const ENDING_WITHIN: Duration = Duration::from_secs(60);
/// How often a process that is late with ending is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// A log file that is larger than this is set aside when its engine starts.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// How many lines of the log an error shows.
const TAIL_LINES: usize = 6;
/// Where the lines of the tail are looked for.
const TAIL_BYTES: usize = 4096;

/// What to start, and how.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<std::ffi::OsString>,
    /// The working directory, by which a later start recognises the process.
    pub(crate) folder: PathBuf,
    /// Another user to run it as.
    pub(crate) account: Option<Account>,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// What the kernel sends it when the thread that started it ends.
    pub(crate) orphan_signal: &'static str,
}

/// A running child and the log it writes.
#[derive(Debug)]
pub(crate) struct Running {
    // Boxed, because it is moved with every change of the situation.
    child: Box<Child>,
    pub(crate) log: PathBuf,
}

impl Launch {
    /// Starts the program in a process group of its own, so that a Ctrl-C in the terminal reaches only the
    /// server, which then stops its engines in order.
    ///
    /// Must be called on a thread that lives as long as the engine (see `orphan_signal`).
    pub(crate) fn start(&self) -> Result<Running, EngineError> {
        let log = open_log(&self.log)?;
        let errors = log.try_clone().map_err(EngineError::io("could not open", &self.log))?;
        let mut command = leashed(&self.program, self.orphan_signal);
        command
            .args(&self.arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        become_user(&mut command, self.account.as_ref());
        let child = command.spawn().map_err(EngineError::io("could not start", &self.program))?;
        Ok(Running { child: Box::new(child), log: self.log.clone() })
    }
}

/// A command that, where util-linux is there, gets a signal when the thread that starts it ends.
pub(crate) fn leashed(program: &Path, orphan_signal: &str) -> Command {
    const SETPRIV: [&str; 2] = ["/usr/bin/setpriv", "/bin/setpriv"];
    match SETPRIV.iter().find(|path| Path::new(path).is_file()) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", orphan_signal, "--"]).arg(program);
            command
        }
        // The next start on the same folder cleans up instead.
        None => Command::new(program),
    }
}

impl Running {
    /// Waits until the process has ended. May be dropped and called again.
    pub(crate) async fn wait(&mut self) -> String {
        match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("its status is unknown: {error}"),
        }
    }

    /// How the process ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.child.try_wait().ok().flatten().map(describe)
    }

    /// The process id, while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends the signals in turn, each with its time to take effect, and kills what is left after them. `is_ending`
    /// extends a time while it says that the last signal is being followed.
    pub(crate) async fn stop(
        mut self,
        signals: &[(Signal, Duration)],
        is_ending: impl Fn() -> bool,
    ) -> String {
        for (signal, patience) in signals {
            self.signal(*signal);
            let sent = Instant::now();
            let mut wait = *patience;
            loop {
                if let Ok(status) = timeout(wait, self.wait()).await {
                    return status;
                }
                if sent.elapsed() >= ENDING_WITHIN || !is_ending() {
                    break;
                }
                wait = LOOK_AGAIN;
            }
        }
        self.signal(Signal::KILL);
        self.wait().await
    }

    /// Sends a signal. The id is ours until the child has been waited for, which only `self` does.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended just now.
            let _ = kill_process(pid, signal);
        }
    }

    /// The end of the log, for an error message.
    pub(crate) fn tail(&self) -> String {
        let Ok(bytes) = std::fs::read(&self.log) else { return String::new() };
        let text = String::from_utf8_lossy(bytes.last_chunk::<TAIL_BYTES>().map_or(&bytes[..], |end| end));
        let lines: Vec<&str> = text.lines().rev().take(TAIL_LINES).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// Lets the command run as another user.
pub(crate) fn become_user(command: &mut Command, account: Option<&Account>) {
    if let Some(account) = account {
        // Changing the user also empties the list of further groups.
        command.uid(account.uid).gid(account.gid);
    }
}

fn describe(status: ExitStatus) -> String {
    status.to_string()
}

/// Opens the log for appending; a large one becomes `<name>.1`, replacing the one before it.
fn open_log(path: &Path) -> Result<File, EngineError> {
    if std::fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        std::fs::rename(path, old).map_err(EngineError::io("could not set aside", path))?;
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(EngineError::io("could not open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(folder: &Path, script: &str) -> Launch {
        Launch {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            folder: folder.to_owned(),
            account: None,
            log: folder.join("shell.log"),
            orphan_signal: "TERM",
        }
    }

    #[tokio::test]
    async fn a_child_that_ignores_the_signal_is_killed_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
        let running = shell(folder.path(), script).start().unwrap();
        while running.tail() != "ready" {
            tokio::task::yield_now().await;
        }
        let status = running.stop(&[(Signal::TERM, Duration::from_millis(200))], || false).await;
        assert!(status.contains("SIGKILL"), "{status}");
    }

    #[tokio::test]
    async fn a_child_that_is_seen_to_be_ending_gets_the_time_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap 'sleep 0.5; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
        let running = shell(folder.path(), script).start().unwrap();
        while running.tail() != "ready" {
            tokio::task::yield_now().await;
        }
        let status = running.stop(&[(Signal::TERM, Duration::from_millis(10))], || true).await;
        assert_eq!(status, "exit status: 7");
    }

    #[tokio::test]
    async fn the_end_of_the_log_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = shell(folder.path(), "seq 1 100; echo broken >&2; exit 3").start().unwrap();
        assert_eq!(running.wait().await, "exit status: 3");
        assert_eq!(running.tail(), "96\n97\n98\n99\n100\nbroken");
    }

    #[tokio::test]
    async fn a_large_log_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let launch = shell(folder.path(), "echo new");
        File::create(&launch.log).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        launch.start().unwrap().wait().await;
        assert_eq!(std::fs::read_to_string(&launch.log).unwrap(), "new\n");
        assert_eq!(std::fs::metadata(folder.path().join("shell.log.1")).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
