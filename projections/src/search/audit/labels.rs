//! The dictionary of labels for `:text`: one that no row has would keep a text readable that was erased, and one without
//! its words would not be found.

use std::collections::BTreeMap;

use anamnesis_events::Position;
use anamnesis_events::audit::Faults;
use deadpool_postgres::Transaction;
use tokio_postgres::IsolationLevel;

use super::Audit;
use super::again::{ENOUGH, SLOW};
use crate::ProjectionError;
use crate::search::label::{LABEL_MIN, beginnings};
use crate::search::target::TARGET_MIN;

/// Labels in one snapshot; each has 32 words at most.
const PAGE_LABELS: i64 = 500;
/// Words that are read in one snapshot: more than those labels can have.
const PAGE_WORDS: i64 = 34 * PAGE_LABELS;
/// A bit for some of the tokens of labels: 16 MiB. Of a million labels every hundredth shares its bit with another.
const BITS: usize = 1 << 27;

/// Which labels the rows have, but for a few that look as if.
pub(super) struct Used(Vec<u64>);

impl Used {
    pub(super) fn none() -> Self {
        Self(vec![0; BITS / 64])
    }

    /// Takes the tokens of a row.
    pub(super) fn add(&mut self, tokens: &[i64]) {
        for token in tokens.iter().filter(|token| (LABEL_MIN..TARGET_MIN).contains(*token)) {
            let (word, bit) = place(*token);
            if let Some(word) = self.0.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn contains(&self, token: i64) -> bool {
        let (word, bit) = place(token);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// Tokens are hashes, so their last bits are as good as any.
fn place(token: i64) -> (usize, u64) {
    let at = usize::try_from(token.unsigned_abs()).unwrap_or(0) % BITS;
    (at / 64, 1 << (at % 64))
}

/// Labels and words of one moment.
struct Page {
    labels: BTreeMap<i64, (i64, String)>,
    /// Of each token keys and texts, in order.
    words: BTreeMap<i64, Vec<(i64, String)>>,
    /// Labels that no row has.
    unused: Vec<i64>,
}

impl Audit<'_> {
    /// Every label is of a row, also of one that is kept for pages of searches, and has the words that its text gives.
    pub(super) async fn labels(&self, used: &Used, faults: &mut Faults) -> Result<(), ProjectionError> {
        let mut after = i64::MIN;
        loop {
            let page = self.page_of_labels(after, used).await?;
            for token in &page.unused {
                faults.add(Position::ZERO, format!("the label {token} is of no resource that the index has"));
            }
            for (token, (key, text)) in &page.labels {
                let mut should: Vec<(i64, String)> =
                    beginnings(text).map(|beginning| (*key, beginning.to_owned())).collect();
                should.sort_unstable();
                if page.words.get(token) != Some(&should) {
                    faults.add(Position::ZERO, format!("the label {token} has other words than its text"));
                }
            }
            for token in page.words.keys().filter(|token| !page.labels.contains_key(*token)) {
                faults
                    .add(Position::ZERO, format!("there are words of the label {token}, but not the label"));
            }
            match page.labels.last_key_value() {
                Some((last, _)) if faults.count() < ENOUGH => after = *last,
                _ => return Ok(()),
            }
        }
    }

    async fn page_of_labels(&self, after: i64, used: &Used) -> Result<Page, ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await?;
        transaction.batch_execute(SLOW).await?;
        let statement = format!(
            "SELECT token, key, text FROM {} WHERE token > $1 ORDER BY token LIMIT {PAGE_LABELS}",
            self.tables.label
        );
        let mut page = Page { labels: BTreeMap::new(), words: BTreeMap::new(), unused: Vec::new() };
        for row in transaction.query(&statement, &[&after]).await? {
            page.labels.insert(row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?));
        }
        // Behind the last label there are no words.
        let last = page.labels.last_key_value().map_or(i64::MAX, |(last, _)| *last);
        let statement = format!(
            "SELECT token, key, text FROM {} WHERE token > $1 AND token <= $2
             ORDER BY token, key, text LIMIT {PAGE_WORDS}",
            self.tables.label_word
        );
        for row in transaction.query(&statement, &[&after, &last]).await? {
            page.words.entry(row.try_get(0)?).or_default().push((row.try_get(1)?, row.try_get(2)?));
        }
        let suspects: Vec<i64> = page.labels.keys().copied().filter(|token| !used.contains(*token)).collect();
        page.unused = self.unused(&transaction, &suspects).await?;
        Ok(page)
    }

    /// Which of these labels no row has at this moment.
    async fn unused(
        &self,
        transaction: &Transaction<'_>,
        suspects: &[i64],
    ) -> Result<Vec<i64>, ProjectionError> {
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let contained = self.tables.contained();
        let statement = format!(
            "WITH kept AS (SELECT DISTINCT t AS token FROM (
                     SELECT tokens FROM {superseded} UNION ALL SELECT tokens FROM {superseded_contained}) AS s,
                     unnest(s.tokens) AS t
                 WHERE t = ANY ($1::int8[]))
             SELECT w.token FROM unnest($1::int8[]) AS w (token)
             WHERE NOT EXISTS (SELECT FROM kept AS k WHERE k.token = w.token)
                 AND NOT EXISTS (SELECT FROM {resource} AS r WHERE r.tokens @> ARRAY[w.token])
                 AND NOT EXISTS (SELECT FROM {resource_contained} AS r WHERE r.tokens @> ARRAY[w.token])",
            superseded = self.tables.superseded,
            superseded_contained = contained.superseded,
            resource = self.tables.resource,
            resource_contained = contained.resource,
        );
        let rows = transaction.query(&statement, &[&suspects]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}
