//! An appender that is paused in the middle of an append and wakes up late, after another one has taken over: its late
//! statements fail, its append is decided again, nothing forks and nothing is written over.

use std::time::Duration;

use anamnesis_events::*;
use tokio::task::JoinHandle;

use crate::hand::{Hand, waiting};
use crate::proxy::{Fault, Place, Proxy};
use crate::support::*;

/// After so long the server ends a session that sits in a transaction.
const SESSION_TIMEOUT: Duration = Duration::from_millis(300);

/// Where it is paused: with the lock held and nothing compared, everything compared and nothing written, half of it
/// written, all of it written and not committed.
const PLACES: [Place; 4] = [
    Place::Statement("FROM anamnesis.head WHERE"),
    Place::Statement("INSERT INTO anamnesis.event "),
    Place::Statement("INSERT INTO anamnesis.head AS h"),
    Place::Commit,
];

/// Two appenders of one log; the first is behind the proxy, and there are events in the log.
struct Bench {
    database: String,
    proxy: Proxy,
    first: Log,
    second: Log,
}

impl Bench {
    async fn start(statement_timeout: Duration) -> Bench {
        let database = database().await;
        let proxy = Proxy::start(&database).await;
        // Its own polling must not be what is held.
        let poll_interval = Duration::from_secs(3600);
        let options = LogOptions { statement_timeout, poll_interval, ..LogOptions::default() };
        let first = Log::open(proxy.address(), "default", options).await.unwrap();
        let second = open(&database).await;
        first.append(Group::single(write(key("shared"), 1, "a"))).await.unwrap();
        second.append(Group::single(write(key("other"), 1, "a"))).await.unwrap();
        Bench { database, proxy, first, second }
    }

    /// Starts an append of the first appender and waits until it is held.
    async fn pause(&self, place: Place, group: Group) -> JoinHandle<Result<Vec<Recorded>, AppendError>> {
        self.proxy.set(Fault::Hold(place));
        let first = self.first.clone();
        let append = tokio::spawn(async move { first.append(group).await });
        self.proxy.held().await;
        append
    }

    async fn note(&self, version: u32) -> String {
        let event = self.second.version(&key("shared"), Version::new(version)).await.unwrap().unwrap();
        String::from_utf8(event.payload.to_vec()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_appender_that_wakes_up_late_loses_against_who_took_over() {
    for place in PLACES {
        let bench = Bench::start(SESSION_TIMEOUT).await;
        let late = bench.pause(place, Group::single(write(key("shared"), 2, "late"))).await;
        // Waits for the lock until the server ends the session of the first.
        let taken = bench.second.append(Group::single(write(key("shared"), 2, "quick"))).await.unwrap();
        assert_eq!(taken[0].position, Position::new(3), "{place:?}");
        bench.proxy.release();
        let late = late.await.unwrap();
        let found = Version::new(2);
        let lost =
            AppendError::Conflict { index: 0, kind: ConflictKind::HeadMoved { found, deleted: false } };
        assert_eq!(late, Err(lost), "{place:?}");
        assert!(bench.note(2).await.contains("quick"), "{place:?}");
        assert_eq!(check_whole(&bench.second).await.len(), 3, "{place:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_append_that_is_still_good_is_recorded_once_behind_who_took_over() {
    for place in PLACES {
        let bench = Bench::start(SESSION_TIMEOUT).await;
        let drafts = vec![write(key("own"), 1, "late"), write(key("shared"), 2, "late")];
        let late = bench.pause(place, group(drafts)).await;
        let taken = bench.second.append(Group::single(write(key("other"), 2, "quick"))).await.unwrap();
        assert_eq!(taken[0].position, Position::new(3), "{place:?}");
        bench.proxy.release();
        let late = late.await.unwrap().unwrap();
        assert_eq!((late[0].position, late[1].position), (Position::new(4), Position::new(5)), "{place:?}");
        assert!(bench.note(2).await.contains("late"));
        assert_eq!(check_whole(&bench.second).await.len(), 5, "{place:?}");
    }
}

/// As long as its session lives it holds the lock, so there is nobody who could have taken over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_commit_of_a_session_that_still_holds_the_lock_counts() {
    let bench = Bench::start(Duration::from_secs(30)).await;
    let late = bench.pause(Place::Commit, Group::single(write(key("shared"), 2, "late"))).await;
    let second = bench.second.clone();
    let waits = tokio::spawn(async move {
        second.append(group(vec![write(key("new"), 1, "quick"), write(key("shared"), 2, "quick")])).await
    });
    waiting(&bench.database, "wait_event IN ('transactionid', 'tuple')", 1).await;
    assert_eq!(bench.second.head().await.unwrap(), Position::new(2));
    bench.proxy.release();
    assert_eq!(late.await.unwrap().unwrap()[0].position, Position::new(3));
    let waits = waits.await.unwrap();
    assert!(matches!(waits, Err(AppendError::Conflict { index: 1, .. })), "{waits:?}");
    assert_eq!(check_whole(&bench.second).await.len(), 3);
}

/// The heads are a fence of their own: where they have moved although the lock was held, the whole append is aborted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_move_under_the_lock_abort_the_append() {
    let bench = Bench::start(Duration::from_secs(30)).await;
    let moved = "UPDATE anamnesis.head SET version = version";
    let drafts = vec![write(key("new"), 1, "a"), write(key("shared"), 2, "a")];
    let append = bench.pause(PLACES[1], group(drafts)).await;
    Hand::new(&bench.database).await.run(&format!("{moved} + 1")).await;
    bench.proxy.release();
    let refused = append.await.unwrap();
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert_eq!(bench.second.head().await.unwrap(), Position::new(2));
    Hand::new(&bench.database).await.run(&format!("{moved} - 1")).await;
    bench.first.append(Group::single(write(key("shared"), 2, "a"))).await.unwrap();
    assert_eq!(check_whole(&bench.second).await.len(), 3);
}
