//! Root and other users: a root server's engines run as somebody else; others' run as themselves.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Server, clean, engines, folder, program, serve, set_mode};

/// The user `nobody`, whom every system has.
const NOBODY: u32 = 65_534;

fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn user_of(pid: u32) -> u32 {
    std::fs::metadata(format!("/proc/{pid}")).unwrap().uid()
}

#[test]
fn the_engines_never_run_as_root() {
    let folder = folder();
    let server = Server::start(folder.path());
    for engine in ["postgres", "nats-server"] {
        let user = user_of(server.engine(engine));
        assert_ne!(user, 0, "{engine} runs as root");
        assert_eq!(user == user_of(server.pid()), !am_root());
    }
    server.stop();
}

#[test]
fn a_normal_user_needs_nothing_of_root() {
    let folder = folder();
    let data = folder.path().join("data");
    let server = if am_root() {
        std::fs::create_dir(&data).unwrap();
        chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        Server::start_with(as_nobody(folder.path(), &data), &data)
    } else {
        Server::start(&data)
    };
    server.wait_until_ready();
    assert_ne!(user_of(server.pid()), 0);
    assert_eq!(user_of(server.engine("postgres")), user_of(server.pid()));
    server.stop();
    if am_root() {
        // The next start by root gives the files to root's engines' user and goes on with them.
        Server::start(&data).stop();
    }
}

/// The program and its engines, copied to where `nobody` can read them; the repository may be closed.
fn as_nobody(place: &Path, data: &Path) -> Command {
    let copied = place.join("anamnesis");
    std::fs::copy(program(), &copied).unwrap();
    set_mode(&copied, 0o755);
    if engines().is_dir() {
        let copy = Command::new("cp").arg("-rL").args([engines(), place.join(".engines")]).status().unwrap();
        assert!(copy.success());
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", "--"]);
    command.arg(copied).args(serve(data).get_args()).current_dir("/");
    clean(&mut command);
    command.env_remove("ANAMNESIS_ENGINES_PROGRAMS");
    command
}

#[test]
fn a_folder_that_root_alone_can_enter_will_do() {
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o700);
    let data = folder.path().join("data");
    let server = Server::start(&data);
    server.wait_until_ready();
    let _elsewhere = Elsewhere(data.join("engines").read_link().ok());
    assert_eq!(data.join("engines").is_symlink(), am_root());
    server.stop();
    Server::start(&data).stop();
    assert_eq!(
        std::fs::metadata(folder.path()).unwrap().mode() & 0o777,
        0o700,
        "the folder was opened to others"
    );
}

/// The folder outside the data folder that a root server made; removed with the test.
struct Elsewhere(Option<PathBuf>);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // Left behind, it would only take room.
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
