//! A broker that hears and does not answer: acknowledgements that get lost, subscribers that hear nothing more.

use std::time::Duration;

use anamnesis_events::relay::{Relay, RelayState};
use anamnesis_events::stream::stream_name;
use anamnesis_events::{Feed, JetStreamFeed, Position};
use async_nats::jetstream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::relay::{Bench, WORKSPACE, options, published};
use crate::support::until;

/// How long a feed may take for its next events: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A way to the broker that can lose everything that comes back from it.
struct Way {
    address: String,
    deaf: watch::Sender<bool>,
    /// Counts the cuts; a connection ends with the next one.
    cuts: watch::Sender<u32>,
    acceptor: JoinHandle<()>,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Way {
    async fn to(url: &str) -> Way {
        let broker = url.trim_start_matches("nats://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("nats://{}", listener.local_addr().unwrap());
        let (deaf, cuts) = (watch::Sender::new(false), watch::Sender::new(0));
        let (heard, cut) = (deaf.clone(), cuts.clone());
        let acceptor = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let broker = TcpStream::connect(&broker).await.unwrap();
                let (deaf, mut cut) = (heard.subscribe(), cut.subscribe());
                connections.spawn(async move {
                    tokio::select! {
                        _ = pass(client, broker, deaf) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Way { address, deaf, cuts, acceptor }
    }

    async fn client(&self) -> async_nats::Client {
        async_nats::ConnectOptions::new().connect(&self.address).await.unwrap()
    }

    /// From now on nothing comes back, and nobody is told.
    fn go_deaf(&self) {
        self.deaf.send_replace(true);
    }

    /// Ends the connections; the ones that follow work.
    fn recover(&self) {
        self.deaf.send_replace(false);
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(client: TcpStream, broker: TcpStream, deaf: watch::Receiver<bool>) -> std::io::Result<()> {
    let ((mut from_client, mut to_client), (mut from_broker, mut to_broker)) =
        (client.into_split(), broker.into_split());
    let there = tokio::io::copy(&mut from_client, &mut to_broker);
    let back = async {
        let mut bytes = vec![0; 1 << 16];
        loop {
            let count = from_broker.read(&mut bytes).await?;
            if count == 0 {
                return std::io::Result::Ok(());
            }
            if *deaf.borrow() {
                continue;
            }
            to_client.write_all(&bytes[..count]).await?;
        }
    };
    tokio::select! {
        done = there => done.map(|_| ()),
        done = back => done,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_acknowledgements_are_noticed_and_nothing_is_stored_twice() {
    let bench = Bench::new().await;
    let way = Way::to(bench.nats.url()).await;
    let relay = Relay::start(bench.log.clone(), way.client().await, options());
    bench.append(1, 50).await;
    published(&relay, Position::new(50)).await;
    way.go_deaf();
    bench.append(51, 150).await;
    let direct = jetstream::new(bench.client().await);
    until("the broker has stored what it was sent", || async {
        let mut stream = direct.get_stream(stream_name(WORKSPACE)).await.unwrap();
        stream.info().await.unwrap().state.last_sequence == 150
    })
    .await;
    // It does not take for stored what it has not heard of, and it does not take silence for an answer.
    let mut status = relay.status();
    let waits = status.wait_for(|status| matches!(status.state, RelayState::Waiting(_)));
    let noticed = tokio::time::timeout(PATIENCE, waits).await.unwrap().unwrap().clone();
    assert!(noticed.published < Position::new(150), "{noticed:?}");
    way.recover();
    published(&relay, Position::new(150)).await;
    bench.append(151, 160).await;
    published(&relay, Position::new(160)).await;
    bench.assert_stream_equals_log().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_whose_subscription_has_gone_silent_goes_on() {
    let bench = Bench::new().await;
    let relay = bench.relay().await;
    let way = Way::to(bench.nats.url()).await;
    let context = jetstream::new(way.client().await);
    let mut feed = JetStreamFeed::new(bench.log.clone(), context, WORKSPACE, Position::ZERO);
    let mut seen = 0;
    let mut read_to = async |last: u64| {
        while seen < last {
            let events = tokio::time::timeout(PATIENCE, feed.next(7)).await.unwrap().unwrap();
            for event in events {
                seen += 1;
                assert_eq!(event.position.get(), seen, "in order, without a hole and once");
            }
        }
    };
    bench.append(1, 20).await;
    read_to(20).await;
    // Live by now; the subscription is open on both sides, and nothing comes over it any more.
    bench.append(21, 30).await;
    read_to(30).await;
    way.go_deaf();
    bench.append(31, 60).await;
    read_to(60).await;
    way.recover();
    bench.append(61, 90).await;
    read_to(90).await;
    relay.stop().await;
}
