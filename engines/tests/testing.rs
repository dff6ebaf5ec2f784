//! What other crates' tests rely on: fresh databases and a NATS server that can be killed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

use anamnesis_engines::testing;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;

async fn name_of(url: &str) -> String {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let work = async move { client.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0) };
    let (name, connection) = tokio::join!(work, connection);
    connection.unwrap();
    name
}

async fn greeting(url: &str) -> std::io::Result<String> {
    let stream = TcpStream::connect(url.strip_prefix("nats://").unwrap()).await?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await?;
    Ok(line)
}

// Two tests, so that the second uses a Postgres that was started on a runtime which is gone by then.
#[tokio::test]
async fn every_database_is_new() {
    let postgres = testing::postgres().await;
    let (one, two) = (postgres.fresh_database().await, postgres.fresh_database().await);
    assert_ne!(name_of(&one).await, name_of(&two).await);
}

#[tokio::test]
async fn the_postgres_outlives_the_runtime_of_the_test_that_started_it() {
    let postgres = testing::postgres().await;
    assert!(name_of(&postgres.fresh_database().await).await.starts_with("test_"));
}

#[tokio::test]
async fn nats_can_be_killed_and_started_again_and_wiped() {
    let nats = testing::Nats::start().await;
    let url = nats.url().to_owned();
    assert!(greeting(&url).await.unwrap().contains("\"jetstream\":true"));
    assert!(nats.store_dir().is_dir());
    nats.kill9().await;
    assert!(greeting(&url).await.is_err());
    nats.restart().await;
    assert!(greeting(&url).await.unwrap().contains("\"jetstream\":true"));
    nats.wipe().await;
    assert!(!nats.store_dir().exists() && greeting(&url).await.is_err());
    nats.restart().await;
    assert!(greeting(&url).await.is_ok());
}

#[tokio::test]
async fn servers_do_not_get_in_each_others_way() {
    let (one, two) = tokio::join!(testing::Nats::start(), testing::Nats::start());
    assert_ne!(one.url(), two.url());
    one.kill9().await;
    assert!(greeting(two.url()).await.is_ok());
}
