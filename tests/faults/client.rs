//! One client: sends requests one after the other, remembers what it was told, and looks for what it wrote.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;

use crate::answers::{entries_of, is_last_word, is_unknown, outcome_of, searched};
use crate::bodies::{self, Bundle};
use crate::dice::Dice;
use crate::http::{Broken, Http, Reply, version_of};
use crate::records::{ATTEMPT, Asked, BUNDLE, CONDITION, Outcome, Record, Verb};

/// The longest pause of a client between two requests: keeps the log short enough to be checked whole.
const PAUSE_MS_MAX: u32 = 25;
/// The pause of a client that finds nobody listening.
const NOBODY_THERE: Duration = Duration::from_millis(20);

/// Writes that carry an idempotency key.
const KEYED_PERCENT: u32 = 50;
/// Requests with a key whose client hangs up before the answer and asks again.
const GIVES_UP_PERCENT: u32 = 10;
const GIVES_UP_WITHIN_MS: u32 = 30;
/// How often a request with a key is sent at most: as often as fits into the longest recovery.
const REPEATED_MAX: u32 = 3_000;

/// What the clients of one round share with those who direct it.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) stop: AtomicBool,
    /// Writes that were acknowledged, by client.
    pub(crate) acknowledged: Vec<AtomicU32>,
    /// Transactions that were sent, with the number of Observations that share their identifier.
    pub(crate) transactions: Mutex<Vec<(String, u32)>>,
    /// Promises that were seen broken while the load was on.
    pub(crate) violations: Mutex<Vec<String>>,
    /// Requests whose first answer was lost, and that were answered when they were sent again under their key.
    pub(crate) repeated: AtomicU32,
    pub(crate) searches: AtomicU32,
    /// Searches that said that they were late.
    pub(crate) late: AtomicU32,
}

impl Load {
    pub(crate) fn new(clients: usize) -> Load {
        Load { acknowledged: (0..clients).map(|_| AtomicU32::new(0)).collect(), ..Load::default() }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub(crate) fn violated(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }
}

/// A request as it is sent, and sent again.
struct Request {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
    /// `Idempotency-Key`
    key: Option<String>,
}

pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) round: u32,
    pub(crate) dice: Dice,
    pub(crate) http: Http,
    pub(crate) load: Arc<Load>,
    requests: u32,
    records: Vec<Record>,
}

impl Client {
    pub(crate) fn new(round: u32, number: usize, dice: Dice, http: Http, load: Arc<Load>) -> Client {
        Client { number, round, dice, http, load, requests: 0, records: Vec::new() }
    }

    /// Sends requests until the load is over; returns what became of those that may have arrived.
    pub(crate) async fn run(mut self) -> Vec<Record> {
        while !self.load.is_over() {
            match self.dice.below(100) {
                0..=24 => self.create().await,
                25..=41 => self.update(None).await,
                42..=53 => self.update_what_it_reads().await,
                54..=60 => self.delete().await,
                61..=70 => self.create_conditionally().await,
                71..=84 => self.transaction().await,
                85..=91 => self.batch().await,
                _ => {
                    let (resource_type, id) = bodies::shared(&mut self.dice);
                    self.read(resource_type, id).await;
                }
            }
            // The clients' pace, not a wait for anything.
            tokio::time::sleep(Duration::from_millis(self.dice.below(PAUSE_MS_MAX).into())).await;
        }
        self.records
    }

    fn token(&mut self) -> String {
        self.requests += 1;
        format!("r{}c{}n{}", self.round, self.number, self.requests)
    }

    async fn create(&mut self) {
        let token = self.token();
        let resource_type = self.dice.pick(&["Observation", "Observation", "Patient"]);
        let body = bodies::resource(resource_type, &token, &mut self.dice).to_string();
        let asked = Asked { verb: Verb::Create, token, resource_type, id: None, if_match: None };
        self.exchange(asked, Method::POST, format!("/{resource_type}"), vec![], Some(body)).await;
    }

    /// The criteria are a business identifier that others send as well: at most one of all is created.
    async fn create_conditionally(&mut self) {
        let token = self.token();
        let condition = bodies::condition(self.round, &mut self.dice);
        let body = bodies::resource("Patient", &token, &mut self.dice);
        let body = bodies::also(body, CONDITION, &condition).to_string();
        let headers = vec![("If-None-Exist", bodies::criteria(&condition))];
        let verb = Verb::ConditionalCreate;
        let asked = Asked { verb, token, resource_type: "Patient", id: None, if_match: None };
        self.exchange(asked, Method::POST, "/Patient".to_owned(), headers, Some(body)).await;
    }

    async fn update(&mut self, known: Option<(&'static str, String, u32)>) {
        let token = self.token();
        let (resource_type, id, if_match) = match known {
            Some((resource_type, id, version)) => (resource_type, id, Some(version)),
            None => {
                let (resource_type, id) = bodies::shared(&mut self.dice);
                (resource_type, id, None)
            }
        };
        let body = bodies::with_id(bodies::resource(resource_type, &token, &mut self.dice), &id).to_string();
        let headers = if_match.iter().map(|version| ("If-Match", format!("W/\"{version}\""))).collect();
        let path = format!("/{resource_type}/{id}");
        let asked = Asked { verb: Verb::Update, token, resource_type, id: Some(id), if_match };
        self.exchange(asked, Method::PUT, path, headers, Some(body)).await;
    }

    async fn update_what_it_reads(&mut self) {
        let (resource_type, id) = bodies::shared(&mut self.dice);
        if let Some((200, Some(version))) = self.read(resource_type, id.clone()).await {
            self.update(Some((resource_type, id, version))).await;
        }
    }

    async fn delete(&mut self) {
        let token = self.token();
        let (resource_type, id) = bodies::shared(&mut self.dice);
        let path = format!("/{resource_type}/{id}");
        let asked = Asked { verb: Verb::Delete, token, resource_type, id: Some(id), if_match: None };
        self.exchange(asked, Method::DELETE, path, vec![], None).await;
    }

    /// The status and version that a read was answered with.
    async fn read(&mut self, resource_type: &'static str, id: String) -> Option<(u16, Option<u32>)> {
        let token = self.token();
        let path = format!("/{resource_type}/{id}");
        let asked = Asked { verb: Verb::Read, token, resource_type, id: Some(id), if_match: None };
        self.exchange(asked, Method::GET, path, vec![], None).await
    }

    async fn transaction(&mut self) {
        let token = self.token();
        let mut bundle = Bundle::new(&token);
        let observations = bundle.transaction(&mut self.dice);
        self.load.transactions.lock().unwrap().push((token.clone(), observations));
        self.send_bundle(&bundle, "transaction").await;
    }

    async fn batch(&mut self) {
        let token = self.token();
        let mut bundle = Bundle::new(&token);
        bundle.batch(&mut self.dice);
        self.send_bundle(&bundle, "batch").await;
    }

    async fn send_bundle(&mut self, bundle: &Bundle<'_>, kind: &str) {
        let is_transaction = kind == "transaction";
        let key = (is_transaction && self.dice.chance(KEYED_PERCENT)).then(|| bundle.token.to_owned());
        let (path, headers, body) = (String::new(), Vec::new(), Some(bundle.text(kind)));
        let started = Instant::now();
        let request = Request { method: Method::POST, path, headers, body, key };
        let Some(sent) = self.deliver(&request).await else { return };
        let (position, outcomes) = match &sent {
            None => (None, vec![Outcome::Unknown; bundle.asked.len()]),
            Some(reply) => (reply.position, entries_of(reply, &bundle.asked)),
        };
        let entries = bundle.asked.iter().cloned().zip(outcomes).collect();
        self.keep(Record { started, ended: Instant::now(), is_transaction, position, entries }).await;
    }

    /// Sends a request of one resource and keeps what became of it.
    async fn exchange(
        &mut self,
        asked: Asked,
        method: Method,
        path: String,
        headers: Vec<(&'static str, String)>,
        body: Option<String>,
    ) -> Option<(u16, Option<u32>)> {
        let keyed = asked.verb != Verb::Read && self.dice.chance(KEYED_PERCENT);
        let key = keyed.then(|| asked.token.clone());
        let started = Instant::now();
        let sent = self.deliver(&Request { method, path, headers, body, key }).await?;
        let (position, outcome) = match &sent {
            None => (None, Outcome::Unknown),
            Some(reply) => (reply.position, outcome_of(reply, &asked)),
        };
        let entries = vec![(asked, outcome)];
        self.keep(Record { started, ended: Instant::now(), is_transaction: false, position, entries }).await;
        let reply = sent?;
        Some((reply.status, reply.etag.as_deref().and_then(version_of)))
    }

    /// Sends a request; one with an idempotency key until it is known what became of it. `None` where nobody was
    /// there to take it, `Some(None)` where the answer was lost.
    async fn deliver(&mut self, request: &Request) -> Option<Option<Reply>> {
        let mut headers = request.headers.clone();
        headers.extend(request.key.iter().map(|key| ("Idempotency-Key", format!("\"{key}\""))));
        let mut patience = self.patience(request);
        let mut may_be_done = false;
        for _ in 0..REPEATED_MAX {
            let alone = self.dice.chance(30);
            let (method, body) = (request.method.clone(), request.body.clone());
            let sending = self.http.send(alone, method, &request.path, &headers, body);
            let sent = match patience.take() {
                None => sending.await,
                // The connection goes with the request; the server may be anywhere in its work.
                Some(time) => tokio::time::timeout(time, sending).await.unwrap_or(Err(Broken::Lost)),
            };
            if let Ok(reply) = &sent {
                self.complain_of_mistakes(reply, &request.path);
            }
            match sent {
                Ok(reply) if may_be_done && is_last_word(&reply) => {
                    self.load.repeated.fetch_add(1, Ordering::Relaxed);
                    return Some(Some(reply));
                }
                // Of what was sent before it says nothing.
                Ok(_) | Err(Broken::NotSent) if may_be_done => {}
                Ok(reply) if !is_unknown(&reply) => return Some(Some(reply)),
                Ok(reply) if request.key.is_none() => return Some(Some(reply)),
                Err(Broken::Lost) if request.key.is_none() => return Some(None),
                Ok(_) | Err(Broken::Lost) => may_be_done = true,
                Err(Broken::NotSent) => {
                    nobody_there().await;
                    return None;
                }
            }
            nobody_there().await;
        }
        Some(None)
    }

    /// How long a client waits that soon gives up, if it is to be one: only with a key, under which it asks again. A
    /// delete that finds nothing records nothing, so its repetition may be done before it.
    fn patience(&mut self, request: &Request) -> Option<Duration> {
        let may_give_up = request.key.is_some() && request.method != Method::DELETE;
        let gives_up = may_give_up && self.dice.chance(GIVES_UP_PERCENT);
        gives_up.then(|| Duration::from_millis(self.dice.below(GIVES_UP_WITHIN_MS).into()))
    }

    /// A fault of the surroundings is a 503; a 500 is a mistake of the server.
    fn complain_of_mistakes(&self, reply: &Reply, what: &str) {
        if reply.status == 500 {
            let said = String::from_utf8_lossy(&reply.body).into_owned();
            self.load.violated(format!("{what} was answered with 500: {said}"));
        }
    }

    async fn keep(&mut self, record: Record) {
        if record.is_written() {
            self.load.acknowledged[self.number].fetch_add(1, Ordering::Relaxed);
            if self.dice.chance(40) {
                self.find_again(&record).await;
            }
        }
        self.records.push(record);
    }

    /// What was acknowledged is found by a search that comes after, or the search says that it may be late (I8).
    async fn find_again(&self, record: &Record) {
        // Only what nobody else can have written over.
        let own = record.entries.iter().find_map(|(asked, outcome)| match outcome {
            Outcome::Done(told) if asked.verb == Verb::Create => Some((asked, told)),
            _ => None,
        });
        let Some((asked, told)) = own else { return };
        let path = format!("/{}?identifier={ATTEMPT}%7C{}", asked.resource_type, asked.token);
        let Ok(reply) = self.http.get(&path).await else { return };
        if reply.status == 503 {
            return;
        }
        self.load.searches.fetch_add(1, Ordering::Relaxed);
        match searched(&reply) {
            Some(found) if found.is_late => {
                self.load.late.fetch_add(1, Ordering::Relaxed);
            }
            Some(found) if found.ids == [told.id.clone().unwrap_or_default()] => {}
            found => self.load.violated(format!(
                "I8: {} at position {:?} was acknowledged; a search for its identifier gave {} {found:?}",
                asked.token, record.position, reply.status
            )),
        }
    }
}

async fn nobody_there() {
    // A client's back-off; it tries again until the load is over.
    tokio::time::sleep(NOBODY_THERE).await;
}

/// Has the index built again, at once or as soon as somebody takes the order.
pub(crate) async fn order_rebuild(http: Http, load: Arc<Load>) {
    while !load.is_over() {
        match http.rebuild().await {
            Some(200 | 202) => return,
            None | Some(503) => nobody_there().await,
            Some(status) => return load.violated(format!("a rebuild was answered with {status}")),
        }
    }
}

/// Watches searches for halves of transactions while others write them (I6).
pub(crate) async fn watch_transactions(http: Http, load: Arc<Load>, mut dice: Dice) {
    while !load.is_over() {
        let newest: Option<(String, u32)> = {
            let sent = load.transactions.lock().unwrap();
            let back = dice.below(3) as usize;
            sent.len().checked_sub(1 + back).map(|place| sent[place].clone())
        };
        if let Some((token, size)) = newest {
            look_for_a_half(&http, &load, &token, size).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub(crate) async fn look_for_a_half(http: &Http, load: &Load, token: &str, size: u32) {
    let path = format!("/Observation?identifier={BUNDLE}%7C{token}&_summary=count");
    // As the index is now: a search that waits for the end of the log would hardly meet a half.
    let headers = [("x-ms-consistency-level", "eventual".to_owned())];
    let Ok(reply) = http.send(false, Method::GET, &path, &headers, None).await else { return };
    if let Some(found) = searched(&reply)
        && let Some(total) = found.total
        && total != 0
        && total != size
    {
        load.violated(format!(
            "I6: a search shows {total} of the {size} Observations of transaction {token}"
        ));
    }
}
