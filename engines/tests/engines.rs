//! The engines as the server uses them: started, killed from outside, left behind, and refused twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anamnesis_engines::{EngineError, EngineOptions, EngineState, Engines};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

const PATIENCE: Duration = Duration::from_secs(60);

fn options(data: &Path) -> EngineOptions {
    let mut options = EngineOptions::new(data);
    options.programs = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.engines")];
    options.path = Some("/usr/local/bin:/usr/bin:/bin".into());
    options
}

/// A folder that another user may pass through, as root's engines run as another user.
fn folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    folder
}

async fn query(url: &str, statement: &str) -> Vec<String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let work = async move { client.simple_query(statement).await.unwrap() };
    let (messages, connection) = tokio::join!(work, connection);
    connection.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

async fn running(state: &mut watch::Receiver<EngineState>, other_than: u32) -> u32 {
    let wanted = |state: &EngineState| matches!(state, EngineState::Running(pid) if *pid != other_than);
    match *timeout(PATIENCE, state.wait_for(wanted)).await.unwrap().unwrap() {
        EngineState::Running(pid) => pid,
        _ => unreachable!(),
    }
}

fn kill9(pid: u32) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
}

fn gone(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    }
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart_on_the_same_address() {
    let folder = folder();
    let first = Engines::start(options(folder.path())).await.unwrap();
    let database = first.database_url().unwrap().to_owned();
    query(&database, "CREATE TABLE kept (x text); INSERT INTO kept VALUES ('yes')").await;
    assert_eq!(query(&database, "SHOW fsync").await, ["on"]);
    assert_eq!(query(&database, "SHOW data_checksums").await, ["on"]);
    assert_eq!(query(&database, "SHOW listen_addresses").await, [""]);
    let locale = "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database
                  WHERE datname = current_database()";
    assert_eq!(query(&database, locale).await, ["UTF8 C"]);
    first.stop().await;

    assert_eq!(anamnesis_engines::running(folder.path()).unwrap(), None);

    let second = Engines::start(options(folder.path())).await.unwrap();
    assert_eq!(second.database_url().unwrap(), database);
    let addresses = anamnesis_engines::running(folder.path()).unwrap().unwrap();
    assert_eq!(addresses.database_url.as_deref(), second.database_url());
    assert_eq!(addresses.nats_url.as_deref(), second.nats_url());
    assert_eq!(query(&database, "SELECT x FROM kept").await, ["yes"]);
    second.stop().await;
}

#[tokio::test]
async fn a_killed_engine_is_started_again_on_the_same_address() {
    let folder = folder();
    let engines = Engines::start(options(folder.path())).await.unwrap();
    let url = engines.database_url().unwrap();
    query(url, "CREATE TABLE kept (x text); INSERT INTO kept VALUES ('yes')").await;
    for mut state in [engines.database_state().unwrap(), engines.nats_state().unwrap()] {
        let first = running(&mut state, 0).await;
        kill9(first);
        let second = running(&mut state, first).await;
        assert!(gone(first) && !gone(second));
    }
    assert_eq!(query(url, "SELECT x FROM kept").await, ["yes"]);
    engines.stop().await;
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let folder = folder();
    let first = Engines::start(options(folder.path())).await.unwrap();
    let refused = Engines::start(options(folder.path())).await.unwrap_err();
    assert!(matches!(&refused, EngineError::InUse { pid, .. } if *pid == std::process::id().to_string()));
    assert_eq!(query(first.database_url().unwrap(), "SELECT 'alive'").await, ["alive"]);
    first.stop().await;
}

#[tokio::test]
async fn stopping_leaves_no_process_and_frees_the_folder() {
    let folder = folder();
    let engines = Engines::start(options(folder.path())).await.unwrap();
    let database = running(&mut engines.database_state().unwrap(), 0).await;
    let nats = running(&mut engines.nats_state().unwrap(), 0).await;
    engines.stop().await;
    assert!(gone(database) && gone(nats));
    Engines::start(options(folder.path())).await.unwrap().stop().await;
}

/// Starts the very processes that a server killed with SIGKILL would leave behind.
fn orphan(state: &str, program: &Path, arguments: &[&str], folder: &Path) -> Child {
    let mut command = if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::MetadataExt;
        let owner = std::fs::metadata(folder).unwrap();
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", owner.uid())).arg(format!("--regid={}", owner.gid()));
        command.arg("--clear-groups").arg(program);
        command
    } else {
        Command::new(program)
    };
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| panic!("{state}: {error}"))
}

#[tokio::test]
async fn what_a_killed_server_left_behind_is_stopped_by_the_next_start() {
    let folder = folder();
    let first = Engines::start(options(folder.path())).await.unwrap();
    let executable = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let postgres = executable(running(&mut first.database_state().unwrap(), 0).await);
    let nats = executable(running(&mut first.nats_state().unwrap(), 0).await);
    first.stop().await;

    let home = |name: &str| folder.path().join(name).canonicalize().unwrap();
    let database = home("postgres/data").display().to_string();
    let mut left = [
        orphan("postgres", &postgres, &["-D", &database], &home("postgres/data")),
        orphan("nats", &nats, &["--config", "nats.conf"], &home("nats")),
    ];
    let written = async {
        while !home("postgres/data").join("postmaster.pid").exists() {
            tokio::task::yield_now().await
        }
    };
    timeout(PATIENCE, written).await.unwrap();

    let second = Engines::start(options(folder.path())).await.unwrap();
    for child in &mut left {
        assert!(child.try_wait().unwrap().is_some(), "an orphan is still running");
    }
    assert_eq!(query(second.database_url().unwrap(), "SELECT 'mine'").await, ["mine"]);
    second.stop().await;
}

#[tokio::test]
async fn a_pid_file_that_names_a_stranger_is_no_obstacle() {
    let folder = folder();
    Engines::start(options(folder.path())).await.unwrap().stop().await;
    let database = folder.path().join("postgres/data").canonicalize().unwrap();
    // Of the same user, as Postgres passes by those that it may not send signals to.
    let mut stranger = orphan("stranger", Path::new("sleep"), &["60"], &database);
    let pid_file = format!("{}\n{}\n1\n5432\n", stranger.id(), database.display());
    std::fs::write(database.join("postmaster.pid"), &pid_file).unwrap();
    std::fs::write(folder.path().join("run/.s.PGSQL.5432.lock"), &pid_file).unwrap();

    Engines::start(options(folder.path())).await.unwrap().stop().await;

    assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn an_interrupted_attempt_to_make_a_database_is_no_obstacle() {
    let folder = folder();
    let half_made = folder.path().join("postgres/making-1");
    std::fs::create_dir_all(&half_made).unwrap();
    std::fs::write(half_made.join("PG_VERSION"), "18\n").unwrap();
    let engines = Engines::start(options(folder.path())).await.unwrap();
    assert_eq!(query(engines.database_url().unwrap(), "SELECT 'there'").await, ["there"]);
    engines.stop().await;
    assert!(!half_made.exists());
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_any_more_leaves_nothing_running() {
    let folder = folder();
    for _ in 0..5 {
        let start = Engines::start(options(folder.path()));
        // Let it get as far as it gets in a moment, then give up.
        let _ = timeout(Duration::from_millis(300), start).await.map(drop);
        let inside = |pid: &u32| {
            let directory = std::fs::read_link(format!("/proc/{pid}/cwd"));
            directory.is_ok_and(|directory| directory.starts_with(folder.path().canonicalize().unwrap()))
        };
        let left: Vec<u32> = std::fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(inside)
            .collect();
        assert_eq!(left, Vec::<u32>::new());
    }
}

/// As root from a closed home folder: the engines' user can reach neither the programs nor the data. As another
/// user the same folders are simply ours.
#[tokio::test]
async fn programs_and_data_in_a_closed_folder_will_do() {
    use std::os::unix::fs::PermissionsExt;
    let closed = tempfile::tempdir().unwrap();
    let programs = closed.path().join("programs");
    let wheels = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.engines");
    if wheels.is_dir() {
        assert!(Command::new("cp").arg("-rL").args([&wheels, &programs]).status().unwrap().success());
    }
    std::fs::set_permissions(closed.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let data = closed.path().join("data");
    let mut options = options(&data);
    options.programs = vec![programs];

    let engines = Engines::start(options).await.unwrap();
    let elsewhere = data.join("engines").read_link().ok();
    assert_eq!(query(engines.database_url().unwrap(), "SELECT 'there'").await, ["there"]);
    engines.stop().await;
    if let Some(elsewhere) = elsewhere {
        std::fs::remove_dir_all(elsewhere).unwrap();
    }
}

/// Postgres 18 does not end of a fast shutdown while it recovers from the crash of one of its processes; it is told
/// more firmly then, before anybody loses patience.
#[tokio::test]
async fn a_postgres_that_recovers_from_a_crash_of_its_own_is_stopped_soon() {
    let folder = folder();
    let engines = Engines::start(options(folder.path())).await.unwrap();
    let database = engines.database_url().unwrap();
    query(database, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n").await;
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    let pid = async {
        let row = client.query_one("SELECT pg_backend_pid()", &[]).await.unwrap();
        kill9(row.get::<_, i32>(0).cast_unsigned());
    };
    let ((), ended) = tokio::join!(pid, connection);
    assert!(ended.is_err(), "the connection went with its process");
    let is_recovering = |error: tokio_postgres::Error| error.code() == Some(&SqlState::CANNOT_CONNECT_NOW);
    let asked = Instant::now();
    while !tokio_postgres::connect(database, NoTls).await.err().is_some_and(is_recovering) {
        assert!(asked.elapsed() < PATIENCE, "it did not recover");
    }
    // Half of a fast shutdown's former time; usually it takes ten seconds.
    timeout(Duration::from_secs(30), engines.stop()).await.expect("the engines have ended");

    let again = Engines::start(options(folder.path())).await.unwrap();
    assert_eq!(query(again.database_url().unwrap(), "SELECT count(*) FROM kept").await, ["1000"]);
    again.stop().await;
}
