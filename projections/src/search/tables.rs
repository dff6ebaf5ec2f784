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

/// Gives the first position of a type's resources that were updated at a time or later.
pub(crate) const FIRST_SINCE: &str = "anamnesis.search_v1_first_since";

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
        CREATE INDEX IF NOT EXISTS search_v1_text_resource ON {TEXT} (log, seq);
        CREATE OR REPLACE FUNCTION {FIRST_SINCE}(of_log smallint, of_kind integer, since bigint)
        RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS $$
        DECLARE
            low bigint; high bigint; middle bigint; found record;
        BEGIN
            SELECT min(seq), max(seq) + 1 INTO low, high FROM {RESOURCE} WHERE log = of_log AND kind = of_kind;
            WHILE low < high LOOP
                middle := low + (high - low) / 2;
                SELECT seq, last_updated INTO found FROM {RESOURCE}
                    WHERE log = of_log AND kind = of_kind AND seq >= middle ORDER BY seq LIMIT 1;
                IF found.seq IS NULL OR found.last_updated >= since THEN
                    high := middle;
                ELSE
                    low := found.seq + 1;
                END IF;
            END LOOP;
            RETURN coalesce(low, 0);
        END $$;"#
    )
}
