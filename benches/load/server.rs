//! The server under load: started fresh, or one that runs already.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::Options;
use crate::client::Client;

/// A server that answers.
pub(crate) struct Server {
    /// Base address of the FHIR service.
    pub(crate) base: String,
    /// Address of the server itself.
    pub(crate) root: String,
    child: Option<Child>,
    folder: Option<PathBuf>,
}

const LISTEN: &str = "127.0.0.1:18080";

impl Server {
    /// Starts the release binary on a fresh folder, or takes the running one that is named.
    pub(crate) fn start(options: &Options) -> anyhow::Result<Self> {
        if let Some(base) = &options.server {
            let root = base.split('/').take(3).collect::<Vec<_>>().join("/");
            return Ok(Self { base: base.clone(), root, child: None, folder: None });
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
        let child = Command::new(env!("CARGO_BIN_EXE_anamnesis"))
            .args(["serve", "--listen", LISTEN, "--data"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .context("starting the server")?;
        let root = format!("http://{LISTEN}");
        let server =
            Self { base: format!("{root}/default/fhir"), root, child: Some(child), folder: Some(folder) };
        server.wait_ready(start + Duration::from_secs(120))?;
        println!("start:   {} ms to ready on a fresh folder", start.elapsed().as_millis());
        Ok(server)
    }

    fn wait_ready(&self, until: Instant) -> anyhow::Result<()> {
        while Instant::now() < until {
            let answer =
                Client::connect(&self.root).and_then(|mut c| Ok(c.send("GET", "health/ready", b"")?.status));
            if answer.is_ok_and(|status| status == 200) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server did not become ready")
    }

    /// Process id of the own server; none for one that ran already.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Bytes on disk below the data folder, by its direct sub-folders.
    pub(crate) fn disk(&self) -> Vec<(String, u64)> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let mut parts = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            parts.push((entry.file_name().to_string_lossy().into_owned(), size(&entry.path())));
        }
        parts.sort();
        parts
    }

    /// Stops an own server in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            let pid = child.id().to_string();
            Command::new("kill").args(["-TERM", &pid]).status()?;
            let status = child.wait()?;
            println!("stop:    {status}");
        }
        Ok(())
    }
}

fn size(path: &std::path::Path) -> u64 {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}
