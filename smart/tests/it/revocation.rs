//! What was revoked: known at once here, soon elsewhere, and nothing is good when nobody knows.

use std::time::{Duration, Instant};

use anamnesis_smart::Standing;
use uuid::Uuid;

use crate::support::{World, eventually, runtime, test};

/// The family of the only code of a workspace.
async fn family(world: &World) -> Uuid {
    let query = "SELECT family FROM anamnesis.smart_family WHERE realm = $1";
    world.tables().await.query_one(query, &[&world.realm().await]).await.unwrap().get(0)
}

#[test]
fn an_ended_family_is_known_here_at_once_and_elsewhere_within_two_seconds() {
    test(|world| async move {
        let other = world.beside().await;
        world.code("public", "patient/*.rs").await;
        let (family, jti) = (family(&world).await, Uuid::new_v4());
        for server in [&world.server, &other.server] {
            assert_eq!(server.standing(jti, family), Standing::Good);
        }
        assert!(world.server.revoke_family(family).await.unwrap());
        assert!(world.server.is_revoked(jti, family));
        let begun = Instant::now();
        eventually("the other process knows", async || other.server.is_revoked(jti, family)).await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert!(!world.server.revoke_family(family).await.unwrap(), "once is enough");
        other.stop().await;
        let again = world.beside().await;
        assert!(again.server.is_revoked(jti, family), "a new process knows from its beginning");
        again.stop().await;
    });
}

#[test]
fn what_a_user_has_granted_ends_with_one_call() {
    test(|world| async move {
        let user = world.user().await;
        for _ in 0..3 {
            let approval = crate::support::approval("public", "patient/*.rs", user);
            world.server.approve(&approval).await.unwrap();
        }
        world.code("public", "patient/*.rs").await;
        assert_eq!(world.server.revoke_families_of_user(user).await.unwrap(), 3);
        assert_eq!(world.server.revoke_families_of_user(user).await.unwrap(), 0);
    });
}

#[test]
fn nothing_is_good_when_the_tables_cannot_be_asked_for_ten_seconds() {
    test(|world| async move {
        let (jti, family) = (Uuid::new_v4(), Uuid::new_v4());
        assert_eq!(world.server.standing(jti, family), Standing::Good);
        world.server.close().await;
        let begun = Instant::now();
        while world.server.standing(jti, family) == Standing::Good {
            assert!(begun.elapsed() < Duration::from_secs(12));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(world.server.standing(jti, family), Standing::Unknown);
        assert!(world.server.is_revoked(jti, family));
    });
}

/// Lets nobody into the database of a server any more, or everybody again.
async fn bar(world: &World, is_barred: bool) {
    let (server, name) = world.database.rsplit_once('/').unwrap();
    let (client, connection) =
        tokio_postgres::connect(&format!("{server}/postgres"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let bar = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {}", !is_barred);
    client.batch_execute(&bar).await.unwrap();
    if is_barred {
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1";
        client.execute(end, &[&name]).await.unwrap();
    }
}

#[test]
fn without_its_database_a_server_gives_and_takes_no_token_until_it_is_back() {
    runtime().block_on(async {
        let world = World::alone().await;
        let (jti, family) = (Uuid::new_v4(), Uuid::new_v4());
        bar(&world, true).await;
        let refused = world.redeem("unknown").await;
        refused.is_refused(503, "temporarily_unavailable");
        assert!(refused.headers.contains_key("retry-after"));
        eventually("nothing is good", async || world.server.standing(jti, family) == Standing::Unknown).await;
        bar(&world, false).await;
        eventually("it is back", async || world.server.standing(jti, family) == Standing::Good).await;
        world.redeem("unknown").await.is_refused(400, "invalid_grant");
        world.stop().await;
    });
}
