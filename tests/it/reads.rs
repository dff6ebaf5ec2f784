//! Reads that share a statement: each gets what it asked for, in its order.

use anamnesis_events::Position;
use futures::future::join_all;

use crate::support::{Hold, in_time, test};

#[test]
fn reads_by_position_that_share_a_statement_get_each_their_own() {
    test(|server| async move {
        for id in 1..=5 {
            let body = format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#);
            server.put(&format!("/Patient/{id}"), body).await;
        }
        let hold = Hold::events(&server.database).await;
        let fetch = |positions: Vec<u64>| {
            let reads = server.compartments.reads().clone();
            let positions = positions.into_iter().map(Position::new).collect();
            tokio::spawn(async move { reads.fetch(positions).await })
        };
        let mut first = Vec::new();
        for position in 1..=3_u64 {
            first.push(fetch(vec![position]));
            // One worker would take several that come at the same time.
            hold.until_waiting(i64::try_from(position).unwrap()).await;
        }
        // All workers wait for the database: these are in one statement, or a few.
        let asked = [vec![5, 1, 3], vec![4], vec![], vec![9, 2], vec![2, 2], (1..=100).rev().collect()];
        let others: Vec<_> = asked.into_iter().map(fetch).collect();
        hold.release().await;
        let mut found = Vec::new();
        for read in in_time("reads", join_all(first.into_iter().chain(others))).await {
            let events = read.unwrap().unwrap();
            found.push(events.iter().map(|event| event.key.id.parse().unwrap()).collect::<Vec<u64>>());
        }
        let expected: [&[u64]; 9] =
            [&[1], &[2], &[3], &[5, 1, 3], &[4], &[], &[2], &[2, 2], &[5, 4, 3, 2, 1]];
        assert_eq!(found, expected);
    });
}
