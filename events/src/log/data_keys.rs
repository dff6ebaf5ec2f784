//! The data keys of a log: one for each home compartment, made before its first body is sealed.

mod cache;
mod open;
mod rotate;

pub use self::rotate::{KeyStatus, SealedStep};

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deadpool_postgres::Pool;
use futures::{FutureExt, StreamExt, TryStreamExt};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use zeroize::Zeroizing;

use self::cache::Cache;
use super::decide::compartment_key;
use super::read::query;
use super::ring::{KeyOf, Ring};
use crate::keys::{Encryption, MasterKeyError, Wrapped};
use crate::seal::{DataKey, draw_key};
use crate::{LogError, envelope};

const OF_COMPARTMENTS: &str = "SELECT id, compartment, wrapped, master_key FROM anamnesis.data_key
    WHERE log = $1 AND compartment = ANY ($2) AND wrapped IS NOT NULL";
const OF_NUMBERS: &str = "SELECT id, compartment, wrapped, master_key FROM anamnesis.data_key
    WHERE id = ANY ($2) AND log = $1";
const MAKE: &str = "INSERT INTO anamnesis.data_key (log, compartment, wrapped, master_key)
    SELECT $1, * FROM unnest($2::uuid[], $3::bytea[], $4::text[])
    ON CONFLICT (log, compartment) WHERE wrapped IS NOT NULL DO NOTHING
    RETURNING id, compartment";

/// What a data key is wrapped for, before the log and the compartment.
const CONTEXT_TAG: &[u8] = b"anamnesis data key 1\n";
/// Keys that the holder of the master keys is asked for at once.
const ASKED_MAX: usize = 16;
/// Others may make, or destroy, the same keys at the same time: so often it is looked again.
const ATTEMPTS: usize = 4;

/// The data keys of one log. Clones are handles of the same ones.
#[derive(Clone)]
pub(crate) struct DataKeys(Arc<Keys>);

struct Keys {
    log: i16,
    genesis: [u8; 32],
    pool: Pool,
    encryption: Option<Encryption>,
    cache: Mutex<Cache>,
}

impl DataKeys {
    fn new(pool: Pool, (log, workspace): (i16, &str), encryption: Option<Encryption>) -> DataKeys {
        let cache = match &encryption {
            Some(bounds) => Cache::new(bounds.cached_keys_max, bounds.cached_for),
            None => Cache::new(0, Duration::ZERO),
        };
        let genesis = envelope::genesis(workspace);
        DataKeys(Arc::new(Keys { log, genesis, pool, encryption, cache: Mutex::new(cache) }))
    }

    /// Whether bodies are sealed when they are written.
    pub(crate) fn is_on(&self) -> bool {
        self.0.encryption.is_some()
    }

    pub(crate) fn genesis(&self) -> &[u8; 32] {
        &self.0.genesis
    }

    /// The keys with which bodies of these compartments are sealed, made where there are none; none at all where bodies
    /// are not sealed. A key that is given may be destroyed before it is used: the append looks, under the log's lock.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer.
    pub(crate) async fn for_writing<'a>(
        &self,
        homes: impl Iterator<Item = &'a str>,
    ) -> Result<HashMap<String, Arc<DataKey>>, LogError> {
        if !self.is_on() {
            return Ok(HashMap::new());
        }
        // Sorted, so that all servers make keys in the same order.
        let mut missing: BTreeMap<Uuid, &str> = homes.map(|home| (compartment_key(home), home)).collect();
        let mut found = HashMap::with_capacity(missing.len());
        let mut take = |missing: &mut BTreeMap<Uuid, &str>, compartment: Uuid, key: Arc<DataKey>| {
            if let Some(home) = missing.remove(&compartment) {
                found.insert(home.to_owned(), key);
            }
        };
        let wanted: Vec<Uuid> = missing.keys().copied().collect();
        for (compartment, key) in self.cache().of_compartments(&wanted, Instant::now()) {
            take(&mut missing, compartment, key);
        }
        for _ in 0..ATTEMPTS {
            if missing.is_empty() {
                break;
            }
            let wanted: Vec<Uuid> = missing.keys().copied().collect();
            let rows = query(&self.0.pool, OF_COMPARTMENTS, &[&self.0.log, &wanted]).await?;
            for (compartment, key) in self.unwrap_all(&rows).await? {
                take(&mut missing, compartment, key.map_err(MasterKeyError::Invalid)?);
            }
            let wanted: Vec<Uuid> = missing.keys().copied().collect();
            for (compartment, key) in self.make(&wanted).await? {
                take(&mut missing, compartment, key);
            }
        }
        match missing.is_empty() {
            true => Ok(found),
            false => Err(MasterKeyError::Unavailable("a data key is made and destroyed again".into()).into()),
        }
    }

    /// Makes keys. Those that somebody else has made meanwhile are left out.
    async fn make(&self, compartments: &[Uuid]) -> Result<Vec<(Uuid, Arc<DataKey>)>, LogError> {
        if compartments.is_empty() {
            return Ok(Vec::new());
        }
        let master = self.master()?;
        let (mut wrapped, mut master_keys) = (Vec::new(), Vec::new());
        let mut drawn: HashMap<Uuid, Zeroizing<[u8; 32]>> = HashMap::new();
        for compartment in compartments {
            let key = draw_key().map_err(|error| LogError::Codec(error.to_string()))?;
            let by = master.wrap(&self.context(compartment), &key[..]).await?;
            wrapped.push(by.bytes);
            master_keys.push(by.master_key);
            drawn.insert(*compartment, key);
        }
        let rows = query(&self.0.pool, MAKE, &[&self.0.log, &compartments, &wrapped, &master_keys]).await?;
        let mut made = Vec::with_capacity(rows.len());
        for row in &rows {
            let (number, compartment) = (number_of(row)?, row.try_get::<_, Uuid>(1)?);
            let Some(key) = drawn.get(&compartment) else { continue };
            made.push((compartment, self.keep(number, compartment, &key[..])?));
        }
        Ok(made)
    }

    /// The keys with these numbers, and why there is none where there is none.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer.
    pub(crate) async fn ring(&self, mut numbers: Vec<u32>) -> Result<Ring, LogError> {
        let mut ring = Ring { log: self.0.genesis, keys: HashMap::new() };
        if numbers.is_empty() {
            return Ok(ring);
        }
        numbers.sort_unstable();
        numbers.dedup();
        let known = self.cache().of_numbers(&numbers, Instant::now());
        ring.keys.extend(known.into_iter().map(|(number, key)| (number, Ok(key))));
        let missing = numbers.iter().filter(|number| !ring.keys.contains_key(number));
        let wanted: Vec<i32> = missing.filter_map(|number| i32::try_from(*number).ok()).collect();
        if !wanted.is_empty() {
            let rows = query(&self.0.pool, OF_NUMBERS, &[&self.0.log, &wanted]).await?;
            let (living, destroyed): (Vec<Row>, Vec<Row>) = rows
                .into_iter()
                .partition(|row| row.try_get::<_, Option<&[u8]>>(2).is_ok_and(|bytes| bytes.is_some()));
            for row in &destroyed {
                ring.keys.insert(number_of(row)?, Err("its data key was destroyed".to_owned()));
            }
            let unwrapped = self.unwrap_all(&living).await?;
            for (row, (_, key)) in living.iter().zip(unwrapped) {
                ring.keys.insert(number_of(row)?, key);
            }
        }
        for number in numbers {
            ring.keys.entry(number).or_insert_with(|| Err("its data key is not there".to_owned()));
        }
        Ok(ring)
    }

    /// Unwraps the keys of these rows, in their order.
    async fn unwrap_all(&self, rows: &[Row]) -> Result<Vec<(Uuid, KeyOf)>, LogError> {
        let asked: Vec<_> = rows.iter().map(|row| self.unwrap(row).boxed()).collect();
        futures::stream::iter(asked).buffered(ASKED_MAX).try_collect().await
    }

    async fn unwrap(&self, row: &Row) -> Result<(Uuid, KeyOf), LogError> {
        let (number, compartment) = (number_of(row)?, row.try_get::<_, Uuid>(1)?);
        let wrapped = Wrapped { bytes: row.try_get(2)?, master_key: row.try_get(3)? };
        match self.master()?.unwrap(&self.context(&compartment), &wrapped).await {
            Ok(bytes) => Ok((compartment, Ok(self.keep(number, compartment, &bytes)?))),
            // That of one compartment; the others may be read.
            Err(error @ MasterKeyError::Wrong(_)) => Ok((compartment, Err(error.to_string()))),
            Err(error) => Err(error.into()),
        }
    }

    fn keep(&self, number: u32, compartment: Uuid, bytes: &[u8]) -> Result<Arc<DataKey>, LogError> {
        let key = DataKey::new(number, bytes).map_err(|error| LogError::Codec(error.to_string()))?;
        let key = Arc::new(key);
        self.cache().keep(compartment, key.clone(), Instant::now());
        Ok(key)
    }

    /// Forgets keys that were destroyed.
    pub(crate) fn forget(&self, numbers: &[u32]) {
        self.cache().forget(numbers);
    }

    /// Forgets the key of a compartment, which was destroyed.
    pub(crate) fn forget_of(&self, compartment: &str) {
        let known = self.cache().of_compartments(&[compartment_key(compartment)], Instant::now());
        let numbers: Vec<u32> = known.iter().map(|(_, key)| key.number()).collect();
        self.forget(&numbers);
    }

    /// Forgets keys when their time is over, also where nobody asks for any.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Some(encryption) = &self.0.encryption else { return };
        let mut ticks = tokio::time::interval((encryption.cached_for / 2).max(Duration::from_millis(10)));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.cache().expire(Instant::now()),
            }
        }
    }

    fn master(&self) -> Result<&Arc<dyn crate::keys::MasterKeys>, LogError> {
        let none = || MasterKeyError::Invalid("bodies are sealed, and no master key is configured".into());
        Ok(&self.0.encryption.as_ref().ok_or_else(none)?.master)
    }

    /// What a key of this log and compartment is wrapped for.
    fn context(&self, compartment: &Uuid) -> Vec<u8> {
        [CONTEXT_TAG, &self.0.genesis, compartment.as_bytes()].concat()
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn number_of(row: &Row) -> Result<u32, LogError> {
    let number: i32 = row.try_get(0)?;
    u32::try_from(number).map_err(|_| LogError::Codec("a data key has no number".to_owned()))
}
