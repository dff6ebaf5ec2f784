//! Measures questions about a code system of the size of SNOMED CT over real Postgres: pages of expansions, single codes.
//!
//! `cargo bench -p anamnesis-projections --bench terminology -- [CONCEPTS]` (350,000 if not given). Prints the time
//! of the first answer to each question, and the median and the slowest of those after it. The concepts are invented: displays of two to six words, of which some are
//! common and most are rare, and one to three parents.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a measurement fails by panicking")]

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anamnesis_engines::testing::postgres;
use anamnesis_events::{Draft, Erases, Group, Log, LogOptions, Operation, ResourceKey, Version};
use anamnesis_fhir::terminology::{Expansion, ExpansionRequest, Terminology};
use anamnesis_projections::terminology::TerminologyIndex;
use anamnesis_projections::{Database, DatabaseOptions, ProjectionError, RunnerOptions};

const SYSTEM: &str = "http://snomed.info/sct";
/// As `anamnesis terminology load` cuts them.
const FRAGMENT: usize = 5_000;
/// How often each question is put.
const ROUNDS: usize = 25;
const PATIENCE: Duration = Duration::from_secs(900);
/// Beginnings and ends of the words of displays: 60 times 80 of them.
const BEGINNINGS: usize = 60;
const ENDS: usize = 80;

/// splitmix64: the same concepts in each run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap()
    }

    /// Small numbers are common, large ones rare.
    fn skewed(&mut self, end: usize) -> usize {
        let rolls = [self.below(end), self.below(end), self.below(end)];
        rolls[0] * rolls[1] / end.max(1) * rolls[2] / end.max(1)
    }
}

/// Invented words: the common ones first.
fn vocabulary() -> Vec<String> {
    const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
    const CONSONANTS: [&str; 16] =
        ["b", "c", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"];
    let syllable = |n: usize| format!("{}{}", CONSONANTS[n % 16], VOWELS[n / 16 % 5]);
    let words = (0..ENDS).flat_map(|end| (0..BEGINNINGS).map(move |beginning| (beginning, end)));
    words
        .map(|(beginning, end)| format!("{}{}{}ns", syllable(beginning), syllable(end), syllable(end * 7)))
        .collect()
}

fn code(number: usize) -> String {
    format!("{}", 1_000_003 + number * 17)
}

/// The parents of a concept: all are before it, the first one makes a tree of tens.
fn parents(number: usize, dice: &mut Dice) -> Vec<usize> {
    let mut parents = vec![number / 12];
    for _ in 0..dice.below(3) {
        parents.push(dice.below(number));
    }
    parents.sort_unstable();
    parents.dedup();
    parents
}

fn fragment(range: std::ops::Range<usize>, total: usize, words: &[String], dice: &mut Dice) -> String {
    let mut concepts = String::new();
    for number in range {
        let display: Vec<&str> =
            (0..2 + dice.below(5)).map(|_| words[dice.skewed(words.len())].as_str()).collect();
        let comma = if concepts.is_empty() { "" } else { "," };
        write!(concepts, r#"{comma}{{"code":"{}","display":"{}""#, code(number), display.join(" ")).unwrap();
        if number > 0 {
            let all: Vec<String> = parents(number, dice)
                .into_iter()
                .map(|parent| format!(r#"{{"code":"parent","valueCode":"{}"}}"#, code(parent)))
                .collect();
            write!(concepts, r#","property":[{}]"#, all.join(",")).unwrap();
        }
        concepts.push('}');
    }
    format!(
        r#"{{"resourceType":"CodeSystem","url":"{SYSTEM}","version":"1","status":"active","content":"fragment","hierarchyMeaning":"is-a","count":{total},"concept":[{concepts}]}}"#
    )
}

fn draft(number: usize, payload: String) -> Draft {
    let key = ResourceKey::new("CodeSystem", format!("sct-{number:05}"));
    Draft {
        home: "CodeSystem/~0".to_owned(),
        key,
        operation: Operation::Create,
        erases: Erases::Nothing,
        version: Version::new(1),
        touches: Vec::new(),
        payload: payload.into_bytes(),
        stamp_at: None,
        identifiers: Vec::new(),
        require_no_identifier: Vec::new(),
        agent: Arc::from("bench"),
        source: None,
    }
}

#[tokio::main]
async fn main() {
    let total: usize = std::env::args().skip(1).find_map(|text| text.parse().ok()).unwrap_or(350_000);
    let url = postgres().await.fresh_database().await;
    let log = Log::open(&url, "default", LogOptions::default()).await.unwrap();
    let (mut dice, words) = (Dice(7), vocabulary());
    for first in (0..total).step_by(FRAGMENT) {
        let body = fragment(first..(first + FRAGMENT).min(total), total, &words, &mut dice);
        log.append(Group::single(draft(first / FRAGMENT, body))).await.unwrap();
    }
    let started = Instant::now();
    let database = Database::new(&url, &DatabaseOptions::default()).unwrap();
    let (supervisor, index) =
        TerminologyIndex::start(&database, &log, RunnerOptions::default()).await.unwrap();
    supervisor.active().wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();
    println!("{total} concepts, projected in {:.1} s", started.elapsed().as_secs_f64());
    let whole = format!("{SYSTEM}?fhir_vs");
    let below = |number: usize| format!("{SYSTEM}?fhir_vs=isa/{}", code(number));
    let rare = words[words.len() - 1].as_str();
    let common = format!("{} {}", &words[0][..3], &words[1][..3]);
    let page = |filter: Option<&str>, offset: usize| ExpansionRequest {
        filter: filter.map(str::to_owned),
        offset,
        count: Some(20),
        ..ExpansionRequest::default()
    };
    let questions: Vec<(&str, String, ExpansionRequest)> = vec![
        ("a page of everything", whole.clone(), page(None, 0)),
        ("a page far behind", whole.clone(), page(None, total * 9 / 10)),
        ("filter: a rare word", whole.clone(), page(Some(rare), 0)),
        ("filter: two common beginnings", whole.clone(), page(Some(&common), 0)),
        ("filter: a common word", whole.clone(), page(Some(&words[0]), 0)),
        ("filter: one letter", whole.clone(), page(Some("b"), 0)),
        ("filter: one letter, far behind", whole.clone(), page(Some("b"), 15_000)),
        ("is-a, some hundred", below(2_000), page(None, 0)),
        ("is-a, everything", below(0), page(None, 0)),
        ("is-a, everything, far behind", below(0), page(None, total * 9 / 10)),
        ("is-a, everything, with a filter", below(0), page(Some(&common), 0)),
    ];
    for (name, set, request) in questions {
        let ask = || {
            let (set, request) = (set.clone(), request.clone());
            index.ask(move |engine| engine.value_set(&set).and_then(|found| engine.expand(&found, &request)))
        };
        measure(name, async || {
            ask()
                .await
                .unwrap()
                .map(|Expansion { total, contains, .. }| format!("{total:?}, {} shown", contains.len()))
        })
        .await;
    }
    measure("validate a code", async || {
        let (set, code) = (whole.clone(), code(total / 2));
        let found = index.ask(move |engine| engine.validate_code(&set, Some(SYSTEM), &code)).await.unwrap();
        Ok::<_, ProjectionError>(format!("{found:?}"))
    })
    .await;
    supervisor.stop().await;
}

/// Puts a question some times, one after the other.
async fn measure<E: std::fmt::Display>(name: &str, ask: impl AsyncFn() -> Result<String, E>) {
    let mut times = Vec::with_capacity(ROUNDS);
    let mut answer = String::new();
    let first = Instant::now();
    let _warm = ask().await;
    let first = first.elapsed();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        answer = ask().await.unwrap_or_else(|error| error.to_string());
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    println!(
        "{name:<36} {:>8.1} ms, then {:>8.1} ms, slowest {:>8.1} ms: {answer}",
        ms(first),
        ms(times[ROUNDS / 2]),
        ms(times[ROUNDS - 1])
    );
}
