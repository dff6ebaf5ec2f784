//! The server under load: started fresh, or one that runs already.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::Options;
use crate::access::Guarded;
use crate::client::{Client, ask_with};

/// A server that answers.
pub(crate) struct Server {
    /// Base address of the FHIR service.
    pub(crate) base: String,
    /// Address of the server itself.
    pub(crate) root: String,
    own: Option<Own>,
}

/// A server of this benchmark's own.
struct Own {
    child: Child,
    folder: PathBuf,
    settings: PathBuf,
    /// Lives as long as the server.
    _guarded: Guarded,
}

const LISTEN: &str = "127.0.0.1:18080";
/// How long a start may take.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How often a server that starts is asked whether it answers: what a start time is off by at most.
const ASKED_EVERY: Duration = Duration::from_millis(5);

impl Server {
    /// Starts the release binary on a fresh folder, or takes the running one that is named.
    pub(crate) fn start(options: &Options) -> anyhow::Result<Self> {
        if let Some(base) = &options.server {
            let root = base.split('/').take(3).collect::<Vec<_>>().join("/");
            return Ok(Self { base: base.clone(), root, own: None });
        }
        let folder = match &options.data {
            Some(folder) => folder.clone(),
            None => {
                let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("load-data");
                if folder.exists() {
                    std::fs::remove_dir_all(&folder)?;
                }
                folder
            }
        };
        let start = Instant::now();
        let root = format!("http://{LISTEN}");
        let guarded = Guarded::start(options.access);
        if let Some(token) = &guarded.token {
            ask_with(token);
        }
        let settings = guarded.write(&folder.with_extension("settings"))?;
        let child = launch(&folder, &settings)?;
        let own = Some(Own { child, folder, settings, _guarded: guarded });
        let server = Self { base: format!("{root}/default/fhir"), root, own };
        server.wait_ready(start)?;
        println!("start:   {} ms to ready, on a fresh folder", start.elapsed().as_millis());
        Ok(server)
    }

    /// Ends an own server, in order or by SIGKILL, starts it again on its folder, and gives the time until it answers
    /// and is ready.
    pub(crate) fn restart(&mut self, signal: &str) -> anyhow::Result<Option<Duration>> {
        let Some(own) = &mut self.own else { return Ok(None) };
        Command::new("kill").args([signal, &own.child.id().to_string()]).status()?;
        own.child.wait()?;
        let start = Instant::now();
        own.child = launch(&own.folder, &own.settings)?;
        self.wait_ready(start)?;
        Ok(Some(start.elapsed()))
    }

    fn wait_ready(&self, start: Instant) -> anyhow::Result<()> {
        while start.elapsed() < READY_WITHIN {
            let answer =
                Client::connect(&self.root).and_then(|mut c| Ok(c.send("GET", "health/ready", b"")?.status));
            if answer.is_ok_and(|status| status == 200) {
                return Ok(());
            }
            std::thread::sleep(ASKED_EVERY);
        }
        bail!("the server did not become ready")
    }

    /// Process id of the own server; none for one that ran already.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.own.as_ref().map(|own| own.child.id())
    }

    /// Address of the private NATS.
    pub(crate) fn nats(&self) -> anyhow::Result<String> {
        let own = self.own.as_ref().context("only the own server's NATS is known")?;
        let port = std::fs::read_to_string(own.folder.join("nats/port")).context("the port of NATS")?;
        Ok(format!("nats://127.0.0.1:{}", port.trim()))
    }

    /// Address of the private Postgres.
    pub(crate) fn database(&self) -> anyhow::Result<String> {
        let own = self.own.as_ref().context("only the own server's database is known")?;
        let socket = own.folder.join("run").canonicalize()?;
        Ok(format!("host={} user=anamnesis dbname=anamnesis", socket.display()))
    }

    /// Bytes on disk of the private NATS.
    pub(crate) fn stream_bytes(&self) -> Option<u64> {
        Some(size(&self.own.as_ref()?.folder.join("nats").canonicalize().ok()?))
    }

    /// Stops an own server in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        if let Some(own) = &mut self.own {
            Command::new("kill").args(["-TERM", &own.child.id().to_string()]).status()?;
            println!("stop:    {}", own.child.wait()?);
        }
        Ok(())
    }
}

fn launch(folder: &Path, settings: &Path) -> anyhow::Result<Child> {
    Command::new(env!("CARGO_BIN_EXE_anamnesis"))
        .args(["serve", "--listen", LISTEN, "--log-filter", "warn", "--data"])
        .arg(folder)
        .arg("--config")
        .arg(settings)
        .stdout(Stdio::null())
        .stdin(Stdio::null())
        .spawn()
        .context("starting the server")
}

fn size(path: &Path) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}
