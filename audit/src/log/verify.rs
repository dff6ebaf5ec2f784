//! Verifying: walks the chain and names the first break.

use super::AuditLog;
use super::migrate::month_of;
use super::read::Stored;
use crate::chain::{self, Hash};
use crate::{AuditError, Number, block, token};

/// What a walk along the chain has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The last record that was found whole.
    pub number: Number,
    /// The hash of the chain up to it.
    pub hash: Hash,
    /// The last record that was dropped because it was old enough; the walk began behind it.
    pub kept_after: Number,
    /// Where the chain breaks first, if it does.
    pub broken: Option<Break>,
    /// Whether the walk has come to the end of the log.
    pub is_whole: bool,
}

/// Where the chain breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// The first record that may be wrong: those of one block are told together.
    pub from: Number,
    /// The last one.
    pub to: Number,
    /// What is wrong.
    pub reason: String,
}

/// The walk so far.
struct Walk {
    number: Number,
    hash: Hash,
    time_us: i64,
}

impl AuditLog {
    /// Walks the chain from its beginning, or from behind `from`, whose hash the caller knows, over about `records_max`
    /// records. `anchors` are numbers and hashes that were noted somewhere else: only they can show that somebody has replaced
    /// the whole end of the log, its head included.
    ///
    /// # Errors
    /// When the database cannot be read. What is wrong with the log is no error.
    pub async fn verify(
        &self,
        from: Option<(Number, Hash)>,
        anchors: &[(Number, Hash)],
        records_max: u64,
    ) -> Result<Verified, AuditError> {
        let head = self.head().await?;
        let (number, hash) = from.unwrap_or((head.kept_after, head.kept_hash));
        let begin = number;
        let mut walk = Walk { number, hash, time_us: i64::MIN };
        let verified = |walk: &Walk, broken: Option<Break>, is_whole| Verified {
            number: walk.number,
            hash: walk.hash,
            kept_after: head.kept_after,
            broken,
            is_whole,
        };
        let at = |number: Number, reason: &str| Break { from: number, to: number, reason: reason.to_owned() };
        if head.kept_after == Number::ZERO && head.kept_hash != chain::genesis(&self.inner.workspace) {
            let reason = "the log does not begin as one of this workspace does";
            return Ok(verified(&walk, Some(at(Number::new(1), reason)), false));
        }
        while walk.number < head.number {
            if walk.number.get() - begin.get() >= records_max {
                return Ok(verified(&walk, None, false));
            }
            let blocks = self.blocks_after(walk.number).await?;
            if blocks.is_empty() {
                let broken =
                    Break { from: walk.number.next(), to: head.number, reason: "they are gone".into() };
                return Ok(verified(&walk, Some(broken), false));
            }
            for block in blocks {
                if let Err(broken) = walk.take(&block, anchors) {
                    return Ok(verified(&walk, Some(broken), false));
                }
            }
        }
        // Others may have written since the head was read; then the walk is as far as it, or further.
        if walk.number == head.number && walk.hash != head.hash {
            let broken = at(head.number, "the last record is not the one that the log ends with");
            return Ok(verified(&walk, Some(broken), false));
        }
        if let Some((number, _)) = anchors.iter().find(|(number, _)| *number > walk.number) {
            let broken = Break {
                from: walk.number.next(),
                to: *number,
                reason: "they were there when the anchor was noted, and are gone".into(),
            };
            return Ok(verified(&walk, Some(broken), false));
        }
        Ok(verified(&walk, None, true))
    }
}

impl Walk {
    /// Goes over one block.
    fn take(&mut self, block: &Stored, anchors: &[(Number, Hash)]) -> Result<(), Break> {
        let broken = |reason: &str| Break { from: block.first, to: block.last, reason: reason.to_owned() };
        if block.first > self.number.next() {
            let to = Number::new(block.first.get() - 1);
            return Err(Break { from: self.number.next(), to, reason: "they are gone".into() });
        }
        if block.first != self.number.next() || block.last < block.first {
            return Err(broken("the numbers of the block do not follow those before"));
        }
        let records = block::read(&block.body).map_err(|error| broken(&error.to_string()))?;
        if records.len() as u64 != block.last.get() - block.first.get() + 1 {
            return Err(broken("the block has another number of records than it says"));
        }
        let times = (records.first().map(|one| one.0), records.last().map(|one| one.0));
        if times != (Some(block.since), Some(block.until))
            || block.month != month_of(block.since.date_naive())
        {
            return Err(broken("the block says other times than its records"));
        }
        let (mut hash, mut number, mut time_us) = (self.hash, self.number, self.time_us);
        let mut is_as_noted = true;
        for (time, bytes) in &records {
            number = number.next();
            hash = chain::next(&hash, number, *time, bytes);
            if time.timestamp_micros() <= time_us {
                return Err(broken("the times do not go forward"));
            }
            time_us = time.timestamp_micros();
            is_as_noted &= anchors.iter().all(|(at, noted)| *at != number || *noted == hash);
        }
        if hash != block.hash {
            return Err(broken("the hash is another one: a record of it or before was changed, or put here"));
        }
        if !is_as_noted {
            return Err(broken("the hash is not the one that was noted outside"));
        }
        let mut tokens: Vec<i64> = Vec::new();
        for recorded in block.records().map_err(|error| broken(&error.to_string()))? {
            tokens.extend(token::tokens(&recorded.record));
        }
        tokens.sort_unstable();
        tokens.dedup();
        if tokens != block.tokens {
            return Err(broken("searches look for its records by other things than are in them"));
        }
        (self.number, self.hash, self.time_us) = (number, hash, time_us);
        Ok(())
    }
}
