//! Rows that have ended are removed, and none that is of use.

use chrono::TimeDelta;

use crate::support::{World, test};

async fn count(world: &World, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM anamnesis.{table} WHERE realm = $1");
    world.tables().await.query_one(&query, &[&world.realm().await]).await.unwrap().get(0)
}

#[test]
fn codes_stay_for_a_day_and_families_as_long_as_they_live() {
    test(|world| async move {
        let first = world.redeem(&world.code("public", "offline_access patient/*.rs").await).await;
        world.redeem(&world.code("public", "patient/*.rs").await).await.is_given();
        world.server.maintain().await.unwrap();
        assert_eq!((count(&world, "smart_code").await, count(&world, "smart_family").await), (2, 2));
        world.host.pass(TimeDelta::days(1) + TimeDelta::hours(2));
        world.server.maintain().await.unwrap();
        assert_eq!((count(&world, "smart_code").await, count(&world, "smart_family").await), (0, 1));
        let token = first.text("refresh_token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", "public")];
        world.token(&form).await.is_given();
        assert_eq!(count(&world, "smart_refresh").await, 2);
        world.host.pass(TimeDelta::days(8));
        world.server.maintain().await.unwrap();
        assert_eq!(count(&world, "smart_refresh").await, 1, "used ones stay for a week");
        world.host.pass(TimeDelta::days(91));
        world.server.maintain().await.unwrap();
        assert_eq!((count(&world, "smart_refresh").await, count(&world, "smart_family").await), (0, 0));
    });
}
