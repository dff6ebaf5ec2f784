//! A server on a folder of its own, and the faults that happen to it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anamnesis_engines::Addresses;
use rustix::process::Signal;

use crate::http::Http;
use crate::plan::{Fault, Target};
use crate::support::{Server, children_of, on_store, serve, try_signal};

/// The private Postgres's owner and database, which stand in the titles of its processes (`engines/src/postgres.rs`).
const OWNER: &str = "anamnesis";

/// How often a condition is looked at.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A server that is killed and started again, always on the same folder.
pub(crate) struct Scene {
    data: PathBuf,
    server: Server,
    pub(crate) http: Http,
}

impl Scene {
    /// Starts a server; if `cut_off_after` says so, only when its first start was cut off.
    pub(crate) fn start(data: &Path, http: Http, cut_off_after: Option<Duration>) -> Scene {
        if let Some(time) = cut_off_after {
            live_for(time, data);
        }
        let server = Server::start(data);
        http.moves_to(&server.address);
        Scene { data: data.to_owned(), server, http }
    }

    /// Carries out a fault. A server that it killed runs again when this returns; engines are left to the server.
    pub(crate) fn suffer(&mut self, fault: &Fault) {
        match fault {
            Fault::Kill(targets) => {
                let pids: Vec<u32> = targets.iter().flat_map(|target| self.processes(*target)).collect();
                for pid in pids {
                    // It may have died in the meantime, of the one before.
                    try_signal(pid, Signal::KILL);
                }
                if targets.contains(&Target::Server) {
                    self.restart(None);
                }
            }
            Fault::Pause(target, time) => {
                let paused = Paused::new(self.processes(*target));
                // The pause itself.
                std::thread::sleep(*time);
                drop(paused);
            }
            Fault::KillStarting(time) => {
                try_signal(self.server.pid(), Signal::KILL);
                self.restart(Some(*time));
            }
        }
    }

    /// Starts a killed server again; kills it once more if it is to live for a time only.
    fn restart(&mut self, lives_for: Option<Duration>) {
        self.server.wait();
        self.note_output();
        if let Some(time) = lives_for {
            self.server = live_for(time, &self.data);
            self.note_output();
        }
        self.server = Server::start(&self.data);
        self.http.moves_to(&self.server.address);
    }

    /// Waits until all parts are well, and says how long that took; with an error when it takes too long.
    pub(crate) fn recover(&self, within: Duration) -> Result<Duration, String> {
        let since = Instant::now();
        while !self.server.is_ready() {
            if since.elapsed() > within {
                let said = self.server.get("/health/ready");
                return Err(format!(
                    "not all parts are well {} s after the faults: {said:?}",
                    within.as_secs()
                ));
            }
            std::thread::park_timeout(LOOK_AGAIN);
        }
        Ok(since.elapsed())
    }

    /// Tells the server to stop and expects that it does so in order.
    pub(crate) fn stop(&mut self) {
        self.note_output();
        self.server.stop_in_order();
    }

    /// Adds what the server has said to a file in its folder.
    pub(crate) fn note_output(&self) {
        let path = self.data.join("logs/server.log");
        if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path) {
            for line in self.server.said() {
                writeln!(file, "{line}").unwrap();
            }
        }
    }

    /// Where the private engines are.
    pub(crate) fn addresses(&self) -> Addresses {
        anamnesis_engines::running(&self.data).unwrap().expect("a running server")
    }

    /// What is wrong with the store by the auditors' own command.
    pub(crate) fn verify(&self) -> Option<String> {
        let (code, said, errors) = on_store(&self.data, &["verify"]);
        (code != 0).then(|| format!("`anamnesis verify` ended with {code}:\n{said}{errors}"))
    }

    /// The processes that a fault happens to, if there are any at this moment.
    fn processes(&self, target: Target) -> Vec<u32> {
        let postmaster = self.server.engine_now("postgres");
        let of_postmaster = || postmaster.into_iter().flat_map(children_of);
        match target {
            Target::Server => vec![self.server.pid()],
            Target::Nats => self.server.engine_now("nats-server").into_iter().collect(),
            Target::Postmaster => postmaster.into_iter().collect(),
            Target::Postgres => postmaster.into_iter().chain(of_postmaster()).collect(),
            Target::Backend => {
                let backends = || of_postmaster().filter_map(|pid| Some((is_idle(pid)?, pid)));
                backends().min().map(|(_, pid)| pid).into_iter().collect()
            }
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Also where a test fails: the output says more than the complaint.
        self.note_output();
    }
}

/// A server that was started and killed a while later.
fn live_for(time: Duration, data: &Path) -> Server {
    let mut server = Server::spawn(serve(data), data);
    // Its life.
    std::thread::sleep(time);
    try_signal(server.pid(), Signal::KILL);
    server.wait();
    server
}

/// Whether a child of the postmaster that serves a client has nothing to do, by its title; `None` for the others.
fn is_idle(pid: u32) -> Option<bool> {
    let title = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let (_, doing) = title.split_once(&format!("{OWNER} {OWNER} [local] "))?;
    Some(doing.trim_end_matches('\0').trim_end() == "idle")
}

/// Processes that stand still until this is dropped, however that comes about.
struct Paused(Vec<u32>);

impl Paused {
    fn new(pids: Vec<u32>) -> Paused {
        for pid in &pids {
            try_signal(*pid, Signal::STOP);
        }
        Paused(pids)
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        for pid in &self.0 {
            try_signal(*pid, Signal::CONT);
        }
    }
}
