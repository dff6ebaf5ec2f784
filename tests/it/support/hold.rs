//! Holds the database still at a chosen place, and waits until something is the case.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

/// How long a condition may take to come true; far more than it ever does.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until a condition holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, wait).await.is_ok(), "it never came true: {what}");
}

/// Fails where something does not end: for what may not wait for ever.
pub(crate) async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(DEADLINE * 3, work).await else {
        panic!("it does not end: {what}");
    };
    done
}

/// A transaction of somebody else's that holds a lock until it is released.
pub(crate) struct Hold {
    holder: Client,
    watcher: Client,
    /// What the statements look like that wait for it.
    waiting: &'static str,
    connections: [JoinHandle<()>; 2],
}

impl Hold {
    /// Appends wait at the lock of the log, until the log's statement timeout.
    pub(crate) async fn appends(database: &str) -> Self {
        Self::begin(database, "SELECT FROM anamnesis.log FOR UPDATE", "SELECT%anamnesis.log%FOR UPDATE").await
    }

    /// Reads by id wait.
    pub(crate) async fn reads(database: &str) -> Self {
        let lock = "LOCK TABLE anamnesis.head IN ACCESS EXCLUSIVE MODE";
        Self::begin(database, lock, "SELECT%anamnesis.head%").await
    }

    /// Reads by position wait.
    pub(crate) async fn events(database: &str) -> Self {
        let lock = "LOCK TABLE anamnesis.event IN ACCESS EXCLUSIVE MODE";
        Self::begin(database, lock, "SELECT%unnest%anamnesis.event%").await
    }

    /// The version of the search index that is being built does not become the active one.
    pub(crate) async fn switches(database: &str) -> Self {
        let lock = "SELECT FROM anamnesis.projection WHERE name = 'search' FOR UPDATE";
        Self::begin(database, lock, "SELECT active FROM anamnesis.projection %FOR UPDATE").await
    }

    async fn begin(database: &str, lock: &str, waiting: &'static str) -> Self {
        let ((holder, first), (watcher, second)) = (connect(database).await, connect(database).await);
        holder.batch_execute(&format!("BEGIN; {lock}")).await.unwrap();
        Self { holder, watcher, waiting, connections: [first, second] }
    }

    /// Waits until that many statements of others wait for the lock.
    pub(crate) async fn until_waiting(&self, statements: i64) {
        eventually("statements wait for the lock", || async {
            let sql = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1";
            self.watcher.query_one(sql, &[&self.waiting]).await.unwrap().get::<_, i64>(0) >= statements
        })
        .await;
    }

    /// Lets everybody go on.
    pub(crate) async fn release(self) {
        self.holder.batch_execute("ROLLBACK").await.unwrap();
        drop((self.holder, self.watcher));
        for connection in self.connections {
            connection.await.unwrap();
        }
    }
}

async fn connect(database: &str) -> (Client, JoinHandle<()>) {
    let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
    // Ends with its client.
    (client, tokio::spawn(async move { connection.await.unwrap() }))
}
