//! Feeds a target with inputs made out of its seeds, until its time is over or it fails.
//!
//! A compiler that measures coverage is not needed: a target tells in a few words how it has ended, and an input that has it end in a new
//! way is one that further inputs are made of.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use crate::dice::Dice;
use crate::mutation::mutated;

/// How long a target runs as a test among others.
const SECONDS: u64 = 2;
/// One input may take so long, on a machine that has other things to do: the readers are linear, or nearly.
const SLOW: Duration = Duration::from_secs(10);
/// Inputs that others are made of, at most.
const CORPUS_MAX: usize = 5000;

/// What is fuzzed.
pub(crate) struct Target {
    /// The name of the folder with its seeds.
    pub(crate) name: &'static str,
    /// Words that it knows.
    pub(crate) words: &'static [&'static str],
    /// Takes an input, checks what has to hold, and tells how it has ended.
    pub(crate) run: fn(&[u8]) -> String,
}

#[expect(clippy::disallowed_methods, reason = "the settings of this test, not of the server")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.trim().parse().ok()
}

/// Runs a target for `ANAMNESIS_FUZZ_SECONDS`; what it is fed follows from its seeds and `ANAMNESIS_FUZZ_SEED`.
pub(crate) fn fuzz(target: &Target) {
    let time = Duration::from_secs(number("ANAMNESIS_FUZZ_SECONDS").unwrap_or(SECONDS));
    let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = number("ANAMNESIS_FUZZ_SEED").unwrap_or_else(now);
    let (mut dice, mut corpus) = (Dice::new(seed), seeds(target.name));
    let (mut ends, mut count) = (BTreeSet::new(), 0_u64);
    for input in corpus.clone() {
        ends.insert(one(target, &input, seed));
    }
    let begun = Instant::now();
    let mut slowest = (Duration::ZERO, Vec::new());
    while begun.elapsed() < time {
        let input = mutated(&mut dice, &corpus, target.words);
        let started = Instant::now();
        let end = one(target, &input, seed);
        if started.elapsed() > slowest.0 {
            slowest = (started.elapsed(), input.clone());
        }
        if ends.insert(end) && corpus.len() < CORPUS_MAX {
            corpus.push(input);
        }
        count += 1;
    }
    let (took, input) = slowest;
    let bytes = input.len();
    keep(&format!("{}-slowest", target.name), &input);
    println!(
        "{}: {count} inputs, {} ways to end, the slowest ({bytes} bytes) took {took:?}, seed {seed}",
        target.name,
        ends.len()
    );
    assert!(count > 0, "nothing was fed");
}

fn one(target: &Target, input: &[u8], seed: u64) -> String {
    let begun = Instant::now();
    match catch_unwind(|| (target.run)(input)) {
        Ok(end) => {
            let took = begun.elapsed();
            assert!(took < SLOW, "{} took {took:?}; {}", target.name, kept(target.name, input, seed));
            end
        }
        Err(_) => panic!("{} has failed; {}", target.name, kept(target.name, input, seed)),
    }
}

/// Keeps an input, and tells where. Put among the seeds, it is a test for ever.
fn kept(name: &str, input: &[u8], seed: u64) -> String {
    let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = keep(&format!("{name}-{hash:016x}"), input);
    format!("the input is kept in {} (seed {seed}): {}", path.display(), input.escape_ascii())
}

fn keep(name: &str, input: &[u8]) -> PathBuf {
    let folder = root().join("target/fuzz");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, input).unwrap();
    path
}

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = root().join("fuzz/seeds").join(name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "there are no seeds in {}", folder.display());
    files.into_iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
