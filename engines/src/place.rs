//! Where the engines keep their files: in the data folder, or where the user that runs them can reach.

use std::fs::DirBuilder;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::EngineError;
use crate::account::{Account, can_enter, owner};

/// The longest folder that still leaves room for `/.s.PGSQL.5432` in a Unix socket address (108 bytes).
const SOCKET_FOLDER_BYTES_MAX: usize = 90;
/// How many names are tried before giving up on a free one.
const NAMES_MAX: u32 = 100;

/// The folders of one data folder's engines.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The data folder itself, absolute.
    pub(crate) data: PathBuf,
    /// Where the engines' folders really are: `data`, or a folder that the other user can reach.
    pub(crate) home: PathBuf,
    /// Log files of the engines; opened by us, so they are always in the data folder.
    pub(crate) logs: PathBuf,
    /// Who the engines run as, if not as us.
    pub(crate) account: Option<Account>,
    /// Where a root server puts what another user must reach.
    shared: PathBuf,
}

impl Places {
    /// Makes the data folder and finds out where the engines' folders go.
    ///
    /// `shared` is used by a root server only, when the other user cannot enter the data folder (`/root` is
    /// closed on most systems, and opening it is not ours to do).
    pub(crate) fn prepare(
        data: &Path,
        shared: &Path,
        account: Option<Account>,
    ) -> Result<Places, EngineError> {
        // Others may pass through to what is theirs, but not look around.
        let mode = if account.is_some() { 0o711 } else { 0o700 };
        make(data, mode)?;
        let data = data.canonicalize().map_err(EngineError::io("could not resolve", data))?;
        let logs = data.join("logs");
        make(&logs, 0o700)?;
        let mut places = Places { home: data.clone(), logs, data, account, shared: shared.to_owned() };
        if let Some(account) = places.account.clone()
            && !can_enter(&places.data, &account)
        {
            places.home = places.elsewhere(&account)?;
        }
        Ok(places)
    }

    /// Makes a folder for an engine that only the engine's user may enter, and returns its real path.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, EngineError> {
        let folder = self.home.join(name);
        self.private(&folder)?;
        if self.home != self.data {
            let link = self.data.join(name);
            if link.symlink_metadata().is_err() {
                symlink(&folder, &link).map_err(EngineError::io("could not link", &link))?;
            }
        }
        Ok(folder)
    }

    /// A folder for Postgres's socket whose path is short enough for one.
    pub(crate) fn socket_folder(&self, runtime: Option<&Path>) -> Result<PathBuf, EngineError> {
        let usual = self.home.join("run");
        if usual.as_os_str().len() <= SOCKET_FOLDER_BYTES_MAX {
            self.private(&usual)?;
            return Ok(usual);
        }
        let mut hasher = DefaultHasher::new();
        usual.hash(&mut hasher);
        let base = runtime.filter(|_| self.account.is_none()).unwrap_or(Path::new("/tmp"));
        for attempt in 0..NAMES_MAX {
            let folder = base.join(format!("anamnesis-{:08x}-{attempt}", hasher.finish() & 0xffff_ffff));
            // In a folder that everybody writes to, somebody else's folder or link is passed by.
            let free = match folder.symlink_metadata() {
                Ok(found) => found.is_dir() && found.uid() == owner(self.account.as_ref()),
                Err(_) => true,
            };
            if free && self.private(&folder).is_ok() {
                return Ok(folder);
            }
        }
        Err(EngineError::io("could not make a socket folder in", base)(
            std::io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// The folder of the programs of an installation, copied to where the engine's user can reach it if need be.
    pub(crate) fn reachable(&self, root: &Path, bin: &Path) -> Result<PathBuf, EngineError> {
        let Some(account) = &self.account else { return Ok(bin.to_owned()) };
        if can_enter(bin, account) {
            return Ok(bin.to_owned());
        }
        let inside = bin.strip_prefix(root).unwrap_or(Path::new(""));
        let (root, name) = match root.file_name() {
            Some(name) => (root, name),
            None => return Ok(bin.to_owned()),
        };
        let programs = self.shared.join("engines");
        make(&programs, 0o755)?;
        let copy = programs.join(name);
        if !copy.join(inside).is_dir() {
            tracing::info!(from = %root.display(), to = %copy.display(), user = account.name,
                "copying an engine to where its user can reach it");
            let fresh = programs.join(format!(".{}-{}", name.to_string_lossy(), std::process::id()));
            copy_tree(root, &fresh)?;
            if std::fs::rename(&fresh, &copy).is_err() {
                // Another server was quicker; its copy is as good.
                let _ = std::fs::remove_dir_all(&fresh);
            }
        }
        Ok(copy.join(inside))
    }

    /// The folder outside the data folder, found again by the link in it.
    fn elsewhere(&self, account: &Account) -> Result<PathBuf, EngineError> {
        let link = self.data.join("engines");
        if let Ok(home) = link.read_link() {
            // Starting with empty folders instead would look like the loss of everything.
            std::fs::metadata(&home)
                .map_err(EngineError::io("could not find the engines' files in", &home))?;
            return Ok(home);
        }
        let instances = self.shared.join("instances");
        make(&instances, 0o711)?;
        for number in 1..=NAMES_MAX {
            let home = instances.join(number.to_string());
            match DirBuilder::new().mode(0o711).create(&home) {
                Ok(()) => {
                    symlink(&home, &link).map_err(EngineError::io("could not link", &link))?;
                    tracing::info!(folder = %home.display(), user = account.name,
                        "the engines' user cannot reach the data folder; their files are kept here");
                    return Ok(home);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(EngineError::io("could not create", &home)(error)),
            }
        }
        Err(EngineError::io("no free name in", &instances)(std::io::ErrorKind::AlreadyExists.into()))
    }

    /// Makes a folder of mode 0700 that belongs to the engines' user, with all that is in it.
    fn private(&self, folder: &Path) -> Result<(), EngineError> {
        make(folder, 0o700)?;
        let found = std::fs::metadata(folder).map_err(EngineError::io("could not read", folder))?;
        let wanted = owner(self.account.as_ref());
        if found.uid() != wanted {
            match &self.account {
                Some(account) => give(folder, account)?,
                None => return Err(EngineError::NotOurs { folder: folder.to_owned(), owner: found.uid() }),
            }
        }
        if found.mode() & 0o777 != 0o700 {
            std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
                .map_err(EngineError::io("could not protect", folder))?;
        }
        Ok(())
    }
}

/// Makes a folder and the folders above it, if it is not there.
fn make(folder: &Path, mode: u32) -> Result<(), EngineError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        std::fs::create_dir_all(above).map_err(EngineError::io("could not create", above))?;
    }
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(folder)
        .map_err(EngineError::io("could not create", folder))
}

/// Gives a folder and everything in it to another user. Links are left alone.
fn give(path: &Path, account: &Account) -> Result<(), EngineError> {
    let found = path.symlink_metadata().map_err(EngineError::io("could not read", path))?;
    if found.is_symlink() {
        return Ok(());
    }
    chown(path, Some(account.uid), Some(account.gid))
        .map_err(EngineError::io("could not change the owner of", path))?;
    if found.is_dir() {
        for entry in std::fs::read_dir(path).map_err(EngineError::io("could not read", path))? {
            give(&entry.map_err(EngineError::io("could not read", path))?.path(), account)?;
        }
    }
    Ok(())
}

/// Copies a folder with modes and links, readable for everybody.
fn copy_tree(from: &Path, to: &Path) -> Result<(), EngineError> {
    make(to, 0o755)?;
    for entry in std::fs::read_dir(from).map_err(EngineError::io("could not read", from))? {
        let entry = entry.map_err(EngineError::io("could not read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(EngineError::io("could not read", &source))?;
        if kind.is_dir() {
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            let points = source.read_link().map_err(EngineError::io("could not read", &source))?;
            symlink(points, &target).map_err(EngineError::io("could not link", &target))?;
        } else {
            std::fs::copy(&source, &target).map_err(EngineError::io("could not copy", &source))?;
            let executable = entry.metadata().is_ok_and(|found| found.mode() & 0o100 != 0);
            let mode = if executable { 0o755 } else { 0o644 };
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(mode))
                .map_err(EngineError::io("could not share", &target))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "place/tests.rs"]
mod tests;
