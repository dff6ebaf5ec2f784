//! The tables of the search index. Their names carry the version of the rows, so that another can be built beside.

/// The version of the rows. Another way to make keys, or other rows for the same resource, is another version.
pub(crate) const VERSION: i32 = 1;
/// The name of the projection.
pub(crate) const NAME: &str = "search";

/// Spans that are wider than this are found through an index of their own. The same number of microseconds (a day)
/// and, among numbers, of steps: a number has no width.
pub(crate) const WIDE: i64 = 86_400_000_000;

/// One row for each resource that is there. `spans` are triples of key, low and high.
pub(crate) const RESOURCE: &str = "anamnesis.search_v1_resource";
/// Rows of versions that were superseded a while ago, for pages of searches that began before that.
pub(crate) const SUPERSEDED: &str = "anamnesis.search_v1_superseded";
/// Spans for searches that start from them, or are sorted by them.
pub(crate) const SPAN: &str = "anamnesis.search_v1_span";
/// Folded texts.
pub(crate) const TEXT: &str = "anamnesis.search_v1_text";
/// The index over tokens.
pub(crate) const TOKEN_INDEX: &str = "anamnesis.search_v1_resource_tokens";

/// Makes the tables.
///
/// The token index collects what a batch writes and takes it in sorted order at the end of the batch (see `write`):
/// the limit of the pending list is out of reach, so that it never happens in between.
pub(crate) fn create() -> String {
    format!(
        r#"
        CREATE TABLE IF NOT EXISTS {RESOURCE} (
            log smallint NOT NULL, kind integer NOT NULL, seq bigint NOT NULL,
            last_updated bigint NOT NULL, id text COLLATE "C" NOT NULL,
            tokens bigint[] NOT NULL, spans bigint[] NOT NULL,
            PRIMARY KEY (log, kind, seq));
        ALTER TABLE {RESOURCE} ALTER tokens SET STORAGE EXTERNAL, ALTER spans SET STORAGE EXTERNAL;
        CREATE INDEX IF NOT EXISTS search_v1_resource_tokens ON {RESOURCE} USING gin (tokens)
            WITH (fastupdate = on, gin_pending_list_limit = 262144);
        CREATE TABLE IF NOT EXISTS {SUPERSEDED} (
            log smallint NOT NULL, kind integer NOT NULL, seq bigint NOT NULL,
            last_updated bigint NOT NULL, until bigint NOT NULL, until_at bigint NOT NULL,
            id text COLLATE "C" NOT NULL, tokens bigint[] NOT NULL, spans bigint[] NOT NULL,
            PRIMARY KEY (log, until, seq));
        CREATE TABLE IF NOT EXISTS {SPAN} (
            key bigint NOT NULL, low bigint NOT NULL, high bigint NOT NULL, seq bigint NOT NULL);
        CREATE INDEX IF NOT EXISTS search_v1_span_low ON {SPAN} (key, low, seq);
        CREATE INDEX IF NOT EXISTS search_v1_span_wide ON {SPAN} (key, high) WHERE high - low > {WIDE};
        CREATE TABLE IF NOT EXISTS {TEXT} (
            key bigint NOT NULL, seq bigint NOT NULL, log smallint NOT NULL, text text COLLATE "C" NOT NULL);
        CREATE INDEX IF NOT EXISTS search_v1_text_text ON {TEXT} (key, text, seq);
        CREATE INDEX IF NOT EXISTS search_v1_text_resource ON {TEXT} (log, seq);"#
    )
}
