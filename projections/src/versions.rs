//! The versions of a projection: one is built beside the one that readers use, and takes its place.
//!
//! ```text
//! building ──switch──► active ──switch──► retiring ──remove──► gone
//!     └────cancel────► cancelled ──remove──► gone ◄──remove── scratch
//! ```

use std::fmt;

use anamnesis_events::Position;
use chrono::{DateTime, Utc};
use deadpool_postgres::Transaction;

use crate::checkpoint::Name;
use crate::database::Database;
use crate::{Inputs, Projection, ProjectionError, tables};

mod history;
mod switch;

pub use switch::Switch;

/// How long taking tables away waits for readers. Less than the database needs to find a deadlock: who waits here
/// gives up and tries again, and no reader is turned away.
const REMOVE_WAIT_MS: u32 = 300;

/// What a version is. The words are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It is written from the first event on, and will become the active one.
    Building,
    /// Readers use it.
    Active,
    /// Readers have used it until a moment ago. It is written on for those who have not noticed yet.
    Retiring,
    /// It was to be built and is not wanted any more.
    Cancelled,
    /// A test or a tool has made it for itself: no server writes it, and it never becomes the active one.
    Scratch,
    /// Its tables have been taken away.
    Gone,
    /// What a later program has stored and this one does not know: it is left alone. This word is never stored.
    Unknown,
}

impl State {
    const ALL: [Self; 6] =
        [Self::Building, Self::Active, Self::Retiring, Self::Cancelled, Self::Scratch, Self::Gone];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Cancelled => "cancelled",
            Self::Scratch => "scratch",
            Self::Gone => "gone",
            Self::Unknown => "unknown",
        }
    }

    /// The state of a word.
    pub(crate) fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|state| state.word() == word).unwrap_or(Self::Unknown)
    }

    /// Whether servers write it.
    #[must_use]
    pub fn is_written(self) -> bool {
        matches!(self, Self::Building | Self::Active | Self::Retiring)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// A version as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its number.
    pub number: i32,
    /// The form of its rows.
    pub schema: i32,
    /// What it is.
    pub state: State,
    /// Everything up to here is in its rows.
    pub reached: Position,
    /// When it was made, by the database's clock.
    pub made_at: DateTime<Utc>,
    /// How long it has been in this state, in milliseconds, by the database's clock.
    pub in_state_ms: i64,
    /// Events that are parked.
    pub parked_events: u64,
    /// Resources that these events are of.
    pub parked_resources: u64,
    /// How often resources were un-parked.
    pub unparked: u64,
    /// Whether it may become the active one with resources parked that the active one has not parked.
    pub force: bool,
    /// What it is made from beside the events; of one that is gone nothing is known any more.
    pub inputs: Inputs,
    /// When it became the active one, by the database's clock; of one that was so before this was noted it is not known.
    pub activated_at: Option<DateTime<Utc>>,
    /// When it was given up.
    pub cancelled_at: Option<DateTime<Utc>>,
}

impl Version {
    /// Whether it is being built and must not become the active one, because that has rows of a later form. One that
    /// was asked for by force after that may.
    pub(crate) fn is_outdated_by(&self, active: &Self) -> bool {
        let is_deliberate = self.force && self.number > active.number;
        self.state == State::Building && self.schema < active.schema && !is_deliberate
    }
}

/// The versions of one projection over one log. Cheap to clone.
///
/// A scratch version is built from any source, looked at and taken away:
///
/// ```no_run
/// # async fn example(database: anamnesis_projections::Database, log: anamnesis_events::Log)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use anamnesis_projections::search::{CustomParameters, SearchProjection, digest};
/// use anamnesis_projections::{Runner, RunnerOptions, Versions};
///
/// let versions = Versions::open(&database, SearchProjection::NAME, log.number()).await?;
/// let number = versions.scratch(SearchProjection::SCHEMA).await?;
/// let projection = || SearchProjection::new(&CustomParameters::none(), log.number(), number);
/// let options = RunnerOptions::default();
/// let runner = Runner::start(database.clone(), projection(), log.clone(), log.number(), options).await?;
/// runner.progress().wait_for(log.head().await?, Duration::from_secs(60)).await?;
/// let from_nothing = digest(&database, log.number(), number).await?;
/// runner.stop().await;
/// versions.remove(&projection()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Versions {
    database: Database,
    name: &'static str,
    log: i16,
}

impl Versions {
    /// The versions of the projection with this name over the log with this number. Makes the tables that all
    /// projections share, where they are missing.
    ///
    /// # Errors
    /// When the database cannot be reached or refuses the tables.
    pub async fn open(database: &Database, name: &'static str, log: i16) -> Result<Self, ProjectionError> {
        let mut client = database.get().await?;
        let transaction = client.transaction().await?;
        tables::lock(&transaction).await?;
        tables::make(&transaction).await?;
        transaction.commit().await?;
        Ok(Self { database: database.clone(), name, log })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// All versions that are not gone, by number. Their positions and states are of one moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self) -> Result<Vec<Version>, ProjectionError> {
        self.listed(true).await
    }

    /// The same without counting what is parked, for those who ask again and again.
    pub(crate) async fn listed(&self, with_counts: bool) -> Result<Vec<Version>, ProjectionError> {
        self.selected("v.state <> 'gone'", (with_counts, None, i64::MAX)).await
    }

    /// Whether servers write this version.
    pub(crate) async fn is_written(&self, number: i32) -> Result<bool, ProjectionError> {
        let client = self.database.get().await?;
        let state = tables::state(&**client, &self.named(number)).await?;
        Ok(state.is_some_and(|(state, _)| state.is_written()))
    }

    /// The version that readers use; where there is none yet, the next number becomes it, with rows of this form.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn active(&self, schema: i32) -> Result<i32, ProjectionError> {
        self.active_from(schema, &Inputs::none()).await
    }

    /// The same; a first version is made from these inputs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn active_from(&self, schema: i32, inputs: &Inputs) -> Result<i32, ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        tables::lock(&transaction).await?;
        let pointer = "SELECT active FROM anamnesis.projection WHERE name = $1 AND log = $2";
        if let Some(row) = transaction.query_opt(pointer, &[&self.name, &self.log]).await? {
            return Ok(row.try_get(0)?);
        }
        let name = self.next(&transaction).await?;
        tables::announce(&transaction, &name, (schema, inputs), State::Active).await?;
        let point = "INSERT INTO anamnesis.projection (name, log, active) VALUES ($1, $2, $3)";
        transaction.execute(point, &[&self.name, &self.log, &name.version]).await?;
        transaction.commit().await?;
        Ok(name.version)
    }

    /// Has another version built beside the active one, with rows of this form: the next number, before the first
    /// event. Where one of this form is being built already, it is that one. True: it was made now. `inputs`: what it is
    /// made from; where they are not given, the same as the active one. `force`: it takes the active one's place even
    /// where it has parked resources that the active one has not.
    ///
    /// # Errors
    /// [`ProjectionError::BeingBuilt`] where one is being built from other inputs than those that are given; when the
    /// database fails.
    pub async fn build(
        &self,
        schema: i32,
        inputs: Option<&Inputs>,
        force: bool,
    ) -> Result<(i32, bool), ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        tables::lock(&transaction).await?;
        let running = self.running(&transaction, schema).await?;
        let name = match running {
            Some(number) => self.named(number),
            None => self.next(&transaction).await?,
        };
        match (running, inputs) {
            (Some(version), Some(inputs)) if tables::inputs(&*transaction, &name).await? != *inputs => {
                return Err(ProjectionError::BeingBuilt { version });
            }
            (Some(_), _) => {}
            (None, inputs) => {
                let inputs = match inputs {
                    Some(inputs) => inputs.clone(),
                    None => self.inputs_of_active(&transaction).await?,
                };
                tables::announce(&transaction, &name, (schema, &inputs), State::Building).await?;
            }
        }
        if force {
            let set = "UPDATE anamnesis.projection_version SET force = true
                WHERE name = $1 AND version = $2 AND log = $3";
            transaction.execute(set, &[&name.name, &name.version, &name.log]).await?;
        }
        transaction.commit().await?;
        Ok((name.version, running.is_none()))
    }

    /// Has a version built beside the active one from what `change` makes of the active one's inputs: the number of the version.
    /// `None` where `change` makes nothing, a version of this form is being built already, or the rows in use are of a later
    /// form. Which version is active, and that none is being built, holds until the new one is known.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn build_changed(
        &self,
        schema: i32,
        change: impl FnOnce(&Inputs) -> Option<Inputs>,
    ) -> Result<Option<i32>, ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        tables::lock(&transaction).await?;
        let pointer = "SELECT active FROM anamnesis.projection WHERE name = $1 AND log = $2";
        let Some(row) = transaction.query_opt(pointer, &[&self.name, &self.log]).await? else {
            return Ok(None);
        };
        let active = self.named(row.try_get(0)?);
        let is_later = tables::state(&*transaction, &active).await?.is_some_and(|(_, found)| found > schema);
        if is_later || self.running(&transaction, schema).await?.is_some() {
            return Ok(None);
        }
        let Some(inputs) = change(&tables::inputs(&*transaction, &active).await?) else { return Ok(None) };
        let name = self.next(&transaction).await?;
        tables::announce(&transaction, &name, (schema, &inputs), State::Building).await?;
        transaction.commit().await?;
        Ok(Some(name.version))
    }

    /// Makes a version that no server touches. Whoever made it runs it and takes it away.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn scratch(&self, schema: i32) -> Result<i32, ProjectionError> {
        self.scratch_from(schema, &Inputs::none()).await
    }

    /// The same, made from these inputs.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn scratch_from(&self, schema: i32, inputs: &Inputs) -> Result<i32, ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        tables::lock(&transaction).await?;
        let name = self.next(&transaction).await?;
        tables::announce(&transaction, &name, (schema, inputs), State::Scratch).await?;
        transaction.commit().await?;
        Ok(name.version)
    }

    /// Gives up a version that is being built: nobody writes it any more, and it is taken away by [`Self::remove`].
    ///
    /// # Errors
    /// [`ProjectionError::WrongState`] when it is not being built (any more).
    pub async fn cancel(&self, number: i32) -> Result<(), ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        tables::lock(&transaction).await?;
        self.expect(&transaction, number, &[State::Building]).await?;
        self.set(&transaction, number, State::Cancelled).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Takes a version away that nobody reads, with its tables; of tables that another log still uses (a store from
    /// before every log had its own) the rows stay until that log has left them too.
    ///
    /// # Errors
    /// [`ProjectionError::WrongState`] for one that is being built, is active or gone, or of which a later program has
    /// made something that this one does not know; a database error where somebody
    /// is still at work on it: try again.
    pub async fn remove<P: Projection>(&self, projection: &P) -> Result<(), ProjectionError> {
        let number = projection.version();
        let name = self.named(number);
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute(&format!("SET LOCAL lock_timeout = {REMOVE_WAIT_MS}")).await?;
        tables::lock(&transaction).await?;
        let removable = [State::Retiring, State::Cancelled, State::Scratch];
        self.expect(&transaction, number, &removable).await?;
        // First, so that nobody writes to the tables any more.
        for table in ["projection_checkpoint", "projection_parked"] {
            let delete =
                format!("DELETE FROM anamnesis.{table} WHERE name = $1 AND version = $2 AND log = $3");
            transaction.execute(&delete, &[&name.name, &name.version, &name.log]).await?;
        }
        self.set(&transaction, number, State::Gone).await?;
        let shared = "SELECT FROM anamnesis.projection_checkpoint WHERE name = $1 AND version = $2 LIMIT 1";
        if transaction.query_opt(shared, &[&name.name, &name.version]).await?.is_none() {
            projection.remove(&transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    fn named(&self, version: i32) -> Name {
        Name { name: self.name, version, log: self.log }
    }

    /// The next number. It was never given before, also not for another log: tables are one log's own.
    async fn next(&self, transaction: &Transaction<'_>) -> Result<Name, ProjectionError> {
        let next = "SELECT coalesce(max(version), 0) + 1 FROM (
                SELECT version FROM anamnesis.projection_version WHERE name = $1
                UNION ALL SELECT version FROM anamnesis.projection_checkpoint WHERE name = $1) AS v";
        Ok(self.named(transaction.query_one(next, &[&self.name]).await?.try_get(0)?))
    }

    /// The version with rows of this form that is being built.
    async fn running(
        &self,
        transaction: &Transaction<'_>,
        schema: i32,
    ) -> Result<Option<i32>, ProjectionError> {
        let running = "SELECT version FROM anamnesis.projection_version
            WHERE name = $1 AND log = $2 AND schema = $3 AND state = 'building' ORDER BY version LIMIT 1";
        let running = transaction.query_opt(running, &[&self.name, &self.log, &schema]).await?;
        Ok(running.map(|row| row.try_get(0)).transpose()?)
    }

    /// What the version that readers use is made from.
    async fn inputs_of_active(&self, transaction: &Transaction<'_>) -> Result<Inputs, ProjectionError> {
        let pointer = "SELECT active FROM anamnesis.projection WHERE name = $1 AND log = $2";
        match transaction.query_opt(pointer, &[&self.name, &self.log]).await? {
            Some(row) => Ok(tables::inputs(&**transaction, &self.named(row.try_get(0)?)).await?),
            None => Ok(Inputs::none()),
        }
    }

    async fn expect(
        &self,
        transaction: &Transaction<'_>,
        number: i32,
        expected: &[State],
    ) -> Result<(), ProjectionError> {
        match tables::state(&**transaction, &self.named(number)).await? {
            Some((state, _)) if expected.contains(&state) => Ok(()),
            Some((state, _)) => Err(ProjectionError::WrongState { version: number, state }),
            None => Err(self.named(number).unknown()),
        }
    }

    async fn set(
        &self,
        transaction: &Transaction<'_>,
        number: i32,
        state: State,
    ) -> Result<(), tokio_postgres::Error> {
        // What is gone is not told any more: somebody may have had it erased where it came from.
        let set = "UPDATE anamnesis.projection_version SET state = $4, changed_at = clock_timestamp(),
                activated_at = CASE WHEN $4 = 'active' THEN clock_timestamp() ELSE activated_at END,
                cancelled_at = CASE WHEN $4 = 'cancelled' THEN clock_timestamp() ELSE cancelled_at END,
                inputs = CASE WHEN $4 = 'gone' THEN NULL ELSE inputs END
            WHERE name = $1 AND version = $2 AND log = $3";
        transaction.execute(set, &[&self.name, &number, &self.log, &state.word()]).await?;
        Ok(())
    }
}
