//! The tables of stored terminology. Their names carry the number of a version.

/// The form of the rows.
pub(crate) const SCHEMA: i32 = 3;
/// The name of the projection.
pub(crate) const NAME: &str = "terminology";

/// The names of the tables of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) version: i32,
    /// One row for each resource that is there.
    pub(crate) definition: String,
    /// Concepts of fragments and of large code systems. `system` is a hash of log and address; `body` is the concept
    /// without those nested in it; `words` has the beginnings that a filter asks for, and the system.
    pub(crate) concept: String,
    /// Which concept lies right below which.
    pub(crate) edge: String,
}

impl Tables {
    /// The tables of the version with this number.
    pub(crate) fn of(version: i32) -> Self {
        let name = |what: &str| format!("anamnesis.terminology_v{version}_{what}");
        Self { version, definition: name("definition"), concept: name("concept"), edge: name("edge") }
    }

    /// Makes the tables where they are missing.
    pub(crate) fn create(&self) -> String {
        let Self { version, definition, concept, edge } = self;
        format!(
            r#"
        CREATE TABLE IF NOT EXISTS {definition} (
            log smallint NOT NULL, seq bigint NOT NULL, kind text COLLATE "C" NOT NULL, url text COLLATE "C" NOT NULL,
            version text COLLATE "C", content text COLLATE "C", declared bigint, concepts bigint NOT NULL,
            value_set text COLLATE "C", source text COLLATE "C", target text COLLATE "C",
            id text COLLATE "C" NOT NULL,
            PRIMARY KEY (log, seq));
        CREATE INDEX IF NOT EXISTS terminology_v{version}_definition_url ON {definition} (log, kind, url);
        CREATE INDEX IF NOT EXISTS terminology_v{version}_definition_set ON {definition} (log, value_set)
            WHERE value_set IS NOT NULL;
        CREATE INDEX IF NOT EXISTS terminology_v{version}_definition_id ON {definition} (log, kind, id);
        CREATE TABLE IF NOT EXISTS {concept} (
            system bigint NOT NULL, code text COLLATE "C" NOT NULL, log smallint NOT NULL, seq bigint NOT NULL,
            body text COLLATE "C" NOT NULL, words tsvector NOT NULL);
        CREATE INDEX IF NOT EXISTS terminology_v{version}_concept_code ON {concept} (system, code, seq);
        CREATE INDEX IF NOT EXISTS terminology_v{version}_concept_seq ON {concept} (log, seq);
        CREATE INDEX IF NOT EXISTS terminology_v{version}_concept_words ON {concept} USING gin (words);
        CREATE TABLE IF NOT EXISTS {edge} (
            system bigint NOT NULL, parent text COLLATE "C" NOT NULL, child text COLLATE "C" NOT NULL,
            log smallint NOT NULL, seq bigint NOT NULL);
        CREATE INDEX IF NOT EXISTS terminology_v{version}_edge_down ON {edge} (system, parent, child, seq);
        CREATE INDEX IF NOT EXISTS terminology_v{version}_edge_up ON {edge} (system, child, parent, seq);
        CREATE INDEX IF NOT EXISTS terminology_v{version}_edge_seq ON {edge} (log, seq);"#
        )
    }

    /// Empties the tables.
    pub(crate) fn clear(&self) -> String {
        let Self { definition, concept, edge, .. } = self;
        format!("TRUNCATE {definition}, {concept}, {edge}")
    }

    /// Takes the tables away, where they are there.
    pub(crate) fn drop(&self) -> String {
        let Self { definition, concept, edge, .. } = self;
        format!("DROP TABLE IF EXISTS {definition}, {concept}, {edge}")
    }
}
