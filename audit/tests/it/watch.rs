//! Watching: one server at a time, from where the last one came to.

use anamnesis_audit::Number;

use super::support::{database, open, read};

#[tokio::test(flavor = "multi_thread")]
async fn one_server_watches_and_the_next_goes_on_where_it_was() {
    let database = database().await;
    let (one, other) = (open(&database).await, open(&database).await);
    for step in 0..4 {
        one.append(vec![read("a", "Patient/1", &format!("Observation/{step}"))]).await.unwrap();
    }
    let mut watch = one.watch().await.unwrap().unwrap();
    assert!(other.watch().await.unwrap().is_none());
    assert_eq!(watch.watched(), Number::ZERO);
    assert_eq!(watch.read(Number::new(1), 2).await.unwrap().len(), 2);
    watch.advance(Number::new(3)).await.unwrap();
    watch.close().await;
    let watch = other.watch().await.unwrap().unwrap();
    assert_eq!(watch.watched(), Number::new(3));
    assert_eq!(watch.read(watch.watched(), 10).await.unwrap().len(), 1);
}
