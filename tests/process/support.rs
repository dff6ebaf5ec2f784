//! Starts the program that users start, watches its output, and finds the processes that belong to it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long anything may take before a test gives up. Slow machines are slow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// What the server says when it is ready, before the address.
const HEALTH: &str = "  Health";

pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_anamnesis"))
}

pub(crate) fn engines() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".engines")
}

/// A folder for a server's data. Root's engines run as another user, who must be able to pass through.
pub(crate) fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o711);
    folder
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// `anamnesis serve` on a free port, with nothing from this environment that could change its mind.
pub(crate) fn serve(data: &Path) -> Command {
    let mut command = Command::new(program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    clean(&mut command);
    command
}

/// Takes the tester's own settings away and names the programs that `make setup` unpacked.
pub(crate) fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ANAMNESIS_") {
            command.env_remove(name);
        }
    }
    if engines().is_dir() {
        command.env("ANAMNESIS_ENGINES_PROGRAMS", engines());
    }
}

/// Runs a command on a store: exit code, standard output, standard error.
pub(crate) fn on_store(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(program());
    clean(&mut command);
    command.args(arguments).arg("--data").arg(data).stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A running server. Killed when a test fails before it stops it.
pub(crate) struct Server {
    child: Child,
    data: PathBuf,
    pub(crate) address: String,
    output: Receiver<String>,
}

impl Server {
    /// Starts a server and waits until it says that it is ready.
    pub(crate) fn start(data: &Path) -> Server {
        Server::start_with(serve(data), data)
    }

    pub(crate) fn start_with(command: Command, data: &Path) -> Server {
        let mut server = Server::spawn(command, data);
        server.wait_until_listening();
        server
    }

    /// Waits until a spawned server says that it is ready, and where.
    pub(crate) fn wait_until_listening(&mut self) {
        let line = self.wait_for_output(HEALTH);
        let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
        self.address = address.to_owned();
    }

    /// Starts a server in a process group of its own, as a shell does, and does not wait.
    pub(crate) fn spawn(mut command: Command, data: &Path) -> Server {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let (sender, output) = channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // A test that has seen enough listens no more.
                    let _ = sender.send(line);
                }
            });
        }
        Server { child, data: data.to_owned(), address: String::new(), output }
    }

    /// Waits for a line that contains `text`; fails with all that was said when the server ends before.
    pub(crate) fn wait_for_output(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => said.push(line),
                Err(_) => panic!("the server never said {text:?}, but:\n{}", said.join("\n")),
            }
        }
    }

    /// What it has said since somebody last listened.
    pub(crate) fn said(&self) -> Vec<String> {
        self.output.try_iter().collect()
    }

    /// Everything that the server still says until it ends.
    pub(crate) fn rest_of_output(&self) -> String {
        let lines: Vec<String> = std::iter::from_fn(|| self.output.recv_timeout(PATIENCE).ok()).collect();
        lines.join("\n")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(as_pid(self.pid()), signal).unwrap();
    }

    /// What a terminal does at Ctrl-C: the whole group gets the signal.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(as_pid(self.pid()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        until("the server ends", || self.child.try_wait().unwrap())
    }

    /// Tells it to stop and expects that it does so in order, leaving nothing behind.
    pub(crate) fn stop(mut self) {
        self.stop_in_order();
    }

    /// The same for a server that somebody else keeps.
    pub(crate) fn stop_in_order(&mut self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().code(), Some(0), "{}", self.rest_of_output());
        assert_eq!(processes_of(&self.data), BTreeSet::new(), "processes were left behind");
    }

    /// The status and body of the answer to a GET.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.exchange("GET", path, "")?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split("\r\n\r\n").nth(1)?.to_owned()))
    }

    /// The status of the answer to a PUT.
    pub(crate) fn put(&self, path: &str, body: &str) -> Option<u16> {
        self.exchange("PUT", path, body)?.split(' ').nth(1)?.parse().ok()
    }

    /// Creates a patient and returns its path.
    pub(crate) fn create_patient(&self) -> Option<String> {
        let body = r#"{"resourceType":"Patient","active":true}"#;
        let answer = self.exchange("POST", "/default/fhir/Patient", body)?;
        let created = answer.starts_with("HTTP/1.1 201");
        let location = answer.lines().find(|line| line.to_lowercase().starts_with("location: "));
        let path = location?.split(&self.address).nth(1)?.split("/_history").next()?;
        created.then(|| path.trim().to_owned())
    }

    /// The whole answer to a request on a connection of its own; `None` when there is nobody to answer.
    pub(crate) fn exchange(&self, method: &str, path: &str, body: &str) -> Option<String> {
        self.exchange_with(method, path, "", body)
    }

    /// The same with more headers, each with the end of its line.
    pub(crate) fn exchange_with(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/fhir+json\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    pub(crate) fn wait_until_ready(&self) {
        until("all parts are well", || self.is_ready().then_some(()));
    }

    /// Whether all parts are well.
    pub(crate) fn is_ready(&self) -> bool {
        let answer = self.get("/health/ready");
        answer.is_some_and(|(status, body)| status == 200 && body.contains(r#""status":"ok""#))
    }

    /// The process of an engine.
    pub(crate) fn engine(&self, program: &str) -> u32 {
        until("the engine runs", || self.engine_now(program))
    }

    /// The process of an engine, if it runs at this moment.
    pub(crate) fn engine_now(&self, program: &str) -> Option<u32> {
        let own = children_of(self.pid());
        let is_it = |pid: &u32| own.contains(pid) && name_of(*pid).as_deref() == Some(program);
        processes_of(&self.data).into_iter().find(is_it)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only what a failed test leaves: an ordered stop has ended the process already.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Asks again and again until there is an answer, within the patience of a test.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

pub(crate) fn kill9(pid: u32) {
    kill_process(as_pid(pid), Signal::KILL).unwrap();
}

/// Sends a signal to a process that may have ended by itself.
pub(crate) fn try_signal(pid: u32, signal: Signal) -> bool {
    kill_process(as_pid(pid), signal).is_ok()
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

/// The processes that work in a server's data folder, its engines among them.
pub(crate) fn processes_of(data: &Path) -> BTreeSet<u32> {
    let homes: Vec<PathBuf> =
        ["", "postgres", "nats"].iter().filter_map(|name| data.join(name).canonicalize().ok()).collect();
    let inside = |path: &Path| homes.iter().any(|home| path.starts_with(home));
    all_processes().filter(|pid| link(*pid, "cwd").is_some_and(|folder| inside(&folder))).collect()
}

pub(crate) fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn all_processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

pub(crate) fn children_of(parent: u32) -> BTreeSet<u32> {
    let is_child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(") ").next().unwrap_or_default().to_owned();
        after_name.split(' ').nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    };
    all_processes().filter(is_child).collect()
}

fn name_of(pid: u32) -> Option<String> {
    Some(link(pid, "exe")?.file_name()?.to_str()?.to_owned())
}

fn link(pid: u32, name: &str) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/{name}")).ok()
}
