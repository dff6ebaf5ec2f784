//! The tables of the search index. Their names carry the number of a version, so that another can be built beside.

use super::shelf::Shelf;
use super::target::NUMBER_MASK;

/// The form of the rows. Another way to make keys, or other rows for the same resource, is another form: a version
/// that has them is built beside the one that has not. The number of a version says nothing about it.
pub(crate) const SCHEMA: i32 = 6;
/// The name of the projection.
pub(crate) const NAME: &str = "search";

/// Spans that are wider than this are found through an index of their own. The same number of microseconds (a day)
/// and, among numbers, of steps: a number has no width.
pub(crate) const WIDE: i64 = 86_400_000_000;

/// The names of the tables of one shelf of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) version: i32,
    /// Which resources the first four tables are of. The labels are of both shelves.
    pub(crate) shelf: Shelf,
    /// The resources that stand for themselves.
    pub(crate) standing: String,
    /// One row for each resource that is there. `spans` are triples of key, low and high.
    pub(crate) resource: String,
    /// Rows of versions that were superseded a while ago, for pages of searches that began before that.
    pub(crate) superseded: String,
    /// Spans for searches that start from them, or are sorted by them.
    pub(crate) span: String,
    /// Folded texts.
    pub(crate) text: String,
    /// The texts of codes and references, each once, with the number of rows of the first two tables that have its token.
    pub(crate) label: String,
    /// What is left of each label from each of its first words on.
    pub(crate) label_word: String,
    /// The index over tokens.
    pub(crate) token_index: String,
    /// A function: the first position of a type's resources that were updated at a time or later.
    pub(crate) first_since: String,
    /// A function: the token of what refers to a resource, by its own key or as a target, with the number of a parameter;
    /// [`super::target::Target::referred_by`] in SQL.
    pub(crate) reference: String,
}

impl Tables {
    /// The tables of the version with this number, of the resources that stand for themselves.
    pub(crate) fn of(version: i32) -> Self {
        Self::of_shelf(version, Shelf::Standing)
    }

    /// The tables of the same version for the resources that others contain.
    pub(crate) fn contained(&self) -> Self {
        Self::of_shelf(self.version, Shelf::Contained)
    }

    /// The tables of the same version for the resources of a shelf.
    pub(crate) fn on(&self, shelf: Shelf) -> Self {
        Self::of_shelf(self.version, shelf)
    }

    fn of_shelf(version: i32, shelf: Shelf) -> Self {
        let name = |what: &str| format!("anamnesis.search_v{version}_{what}");
        let of_shelf = |what: &str| name(&format!("{}{what}", shelf.prefix()));
        Self {
            version,
            shelf,
            standing: name("resource"),
            resource: of_shelf("resource"),
            superseded: of_shelf("superseded"),
            span: of_shelf("span"),
            text: of_shelf("text"),
            label: name("label"),
            label_word: name("label_word"),
            token_index: of_shelf("resource_tokens"),
            first_since: of_shelf("first_since"),
            reference: name("reference"),
        }
    }

    /// Makes the tables of both shelves where they are missing.
    pub(crate) fn create(&self) -> String {
        let Self { version, label, label_word, reference, .. } = self;
        let shelves = [self.create_shelf(), self.contained().create_shelf()].concat();
        format!(
            r#"{shelves}
        -- Counted anew by each batch: half of each page is left for that, so that no index is touched.
        CREATE TABLE IF NOT EXISTS {label} (
            token bigint PRIMARY KEY, key bigint NOT NULL, uses bigint NOT NULL, text text COLLATE "C" NOT NULL)
            WITH (fillfactor = 50);
        CREATE TABLE IF NOT EXISTS {label_word} (
            key bigint NOT NULL, token bigint NOT NULL, text text COLLATE "C" NOT NULL);
        CREATE INDEX IF NOT EXISTS search_v{version}_label_word_text ON {label_word} (key, text, token);
        CREATE INDEX IF NOT EXISTS search_v{version}_label_word_token ON {label_word} (token);
        CREATE OR REPLACE FUNCTION {reference}(target bigint, parameter bigint)
        RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
            SELECT ('x' || left(encode(sha256(int8send(target & {NUMBER_MASK}) || int8send(parameter)), 'hex'), 16))
                ::bit(64)::bigint >> 1
        $$;"#
        )
    }

    /// Makes the tables of one shelf where they are missing.
    ///
    /// The token index collects what a batch writes and takes it in sorted order at the end of the batch (see `write`):
    /// the limit of the pending list is out of reach, so that it never happens in between.
    fn create_shelf(&self) -> String {
        let Self { version, resource, superseded, span, text, first_since, .. } = self;
        let index = format!("search_v{version}_{}", self.shelf.prefix());
        // Rows of what a version contained are found by its position, whatever types they have.
        let by_position = match self.shelf {
            Shelf::Standing => String::new(),
            Shelf::Contained => {
                format!("CREATE INDEX IF NOT EXISTS {index}resource_seq ON {resource} (log, seq);")
            }
        };
        format!(
            r#"
        CREATE TABLE IF NOT EXISTS {resource} (
            log smallint NOT NULL, kind integer NOT NULL, seq bigint NOT NULL,
            last_updated bigint NOT NULL, id text COLLATE "C" NOT NULL,
            tokens bigint[] NOT NULL, spans bigint[] NOT NULL,
            PRIMARY KEY (log, kind, seq));
        ALTER TABLE {resource} ALTER tokens SET STORAGE EXTERNAL, ALTER spans SET STORAGE EXTERNAL;
        {by_position}
        CREATE INDEX IF NOT EXISTS {index}resource_tokens ON {resource} USING gin (tokens)
            WITH (fastupdate = on, gin_pending_list_limit = 262144);
        CREATE TABLE IF NOT EXISTS {superseded} (
            log smallint NOT NULL, kind integer NOT NULL, seq bigint NOT NULL,
            last_updated bigint NOT NULL, until bigint NOT NULL, until_at bigint NOT NULL,
            id text COLLATE "C" NOT NULL, tokens bigint[] NOT NULL, spans bigint[] NOT NULL,
            PRIMARY KEY (log, until, seq));
        CREATE TABLE IF NOT EXISTS {span} (
            key bigint NOT NULL, low bigint NOT NULL, high bigint NOT NULL, seq bigint NOT NULL);
        CREATE INDEX IF NOT EXISTS {index}span_low ON {span} (key, low, seq);
        CREATE INDEX IF NOT EXISTS {index}span_wide ON {span} (key, high) WHERE high - low > {WIDE};
        CREATE TABLE IF NOT EXISTS {text} (
            key bigint NOT NULL, seq bigint NOT NULL, log smallint NOT NULL, text text COLLATE "C" NOT NULL);
        CREATE INDEX IF NOT EXISTS {index}text_text ON {text} (key, text, seq);
        CREATE INDEX IF NOT EXISTS {index}text_resource ON {text} (log, seq);
        CREATE OR REPLACE FUNCTION {first_since}(of_log smallint, of_kind integer, since bigint)
        RETURNS bigint LANGUAGE plpgsql STABLE STRICT AS $$
        DECLARE
            low bigint; high bigint; middle bigint; found record;
        BEGIN
            SELECT min(seq), max(seq) + 1 INTO low, high FROM {resource} WHERE log = of_log AND kind = of_kind;
            WHILE low < high LOOP
                middle := low + (high - low) / 2;
                SELECT seq, last_updated INTO found FROM {resource}
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

    /// Empties the tables of both shelves.
    pub(crate) fn clear(&self) -> String {
        let of_shelf = |tables: &Self| {
            let Self { resource, superseded, span, text, .. } = tables;
            format!("{resource}, {superseded}, {span}, {text}")
        };
        let shelves = [of_shelf(self), of_shelf(&self.contained())].join(", ");
        format!("TRUNCATE {shelves}, {}, {}", self.label, self.label_word)
    }

    /// Takes the tables of both shelves away, where they are there.
    pub(crate) fn drop(&self) -> String {
        let of_shelf = |tables: &Self| {
            let Self { resource, superseded, span, text, first_since, .. } = tables;
            format!(
                "DROP TABLE IF EXISTS {resource}, {superseded}, {span}, {text};
                 DROP FUNCTION IF EXISTS {first_since}(smallint, integer, bigint);"
            )
        };
        let shelves = [of_shelf(self), of_shelf(&self.contained())].concat();
        let Self { label, label_word, reference, .. } = self;
        format!(
            "{shelves}
             DROP TABLE IF EXISTS {label}, {label_word};
             DROP FUNCTION IF EXISTS {reference}(bigint, bigint)"
        )
    }
}

#[cfg(test)]
mod tests {
    use anamnesis_engines::testing::postgres;
    use tokio_postgres::NoTls;

    use super::Tables;
    use crate::search::target::Target;

    /// What joins rows in SQL must come to what the rows were written with.
    #[tokio::test]
    async fn references_are_made_in_sql_as_they_are_written() {
        let url = postgres().await.fresh_database().await;
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        let driver = tokio::spawn(connection);
        let tables = Tables::of(7);
        client.batch_execute(&format!("CREATE SCHEMA anamnesis; {}", tables.create())).await.unwrap();
        let made = format!("SELECT {}($1, $2)", tables.reference);
        for number in 0..100 {
            let target = Target::resource(1, "Patient", &number.to_string());
            let parameter = target.referred_by(number) >> 1;
            for key in [target.own(), target.target(), target.own_address(), target.target_address()] {
                let row = client.query_one(&made, &[&key, &parameter]).await.unwrap();
                assert_eq!(row.get::<_, i64>(0), target.referred_by(parameter));
            }
        }
        client.batch_execute(&tables.drop()).await.unwrap();
        assert!(client.query_one(&made, &[&1_i64, &1_i64]).await.is_err(), "the function is dropped too");
        drop(client);
        driver.await.unwrap().unwrap();
    }
}
