//! Transactions that a test steps through by hand, and who waits for them.

use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::support::{number, until};

/// A session of the test's own.
pub(crate) struct Hand {
    client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Hand {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Hand {
    pub(crate) async fn new(database: &str) -> Hand {
        let (client, connection) = tokio_postgres::connect(database, NoTls).await.unwrap();
        let driver = tokio::spawn(async move {
            // A session that the test or the server has ended is no failure of its own.
            let _ = connection.await;
        });
        Hand { client, driver }
    }

    /// Runs statements; a transaction that they begin stays open.
    pub(crate) async fn run(&self, statements: &str) {
        self.client.batch_execute(statements).await.unwrap();
    }
}

/// Waits until so many sessions of the database wait for a lock of this sort.
pub(crate) async fn waiting(database: &str, sort: &str, sessions: i64) {
    let query = format!(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND {sort}"
    );
    until(&format!("{sessions} sessions wait, {sort}"), || async {
        number(database, &query).await == sessions
    })
    .await;
}
