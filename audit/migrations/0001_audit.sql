-- The audit log: one row for what was recorded by one commit. See docs/audit.md for how it is read and verified.

CREATE TABLE anamnesis.audit_log (
    log smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace text NOT NULL UNIQUE,
    -- The last record: its number, the hash of the chain up to it, its time.
    head bigint NOT NULL DEFAULT 0,
    hash bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT '-infinity',
    -- Records up to this number were dropped when they were old enough, and the hash of the chain up to there.
    kept_after bigint NOT NULL DEFAULT 0,
    kept_hash bytea NOT NULL,
    -- Rules have been applied to records up to this number.
    watched bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 20);

-- By log, then by month: a month that is old enough is dropped whole.
CREATE TABLE anamnesis.audit_block (
    log smallint NOT NULL,
    month date NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    -- Of the chain up to the last record.
    hash bytea NOT NULL,
    -- What records are looked for by, hashed.
    tokens bigint[] NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (log, last, month)
) PARTITION BY LIST (log);

-- Compressed already.
ALTER TABLE anamnesis.audit_block ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX ON anamnesis.audit_block USING gin (tokens) WITH (fastupdate = on, gin_pending_list_limit = 1024);

-- Against mistakes. What somebody does who can take this away, the chain shows.
CREATE FUNCTION anamnesis.refuse_change_of_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to';
END $$;

CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE ON anamnesis.audit_block
    FOR EACH ROW EXECUTE FUNCTION anamnesis.refuse_change_of_audit();

-- Makes the table of a month of a log, if it is not there.
CREATE FUNCTION anamnesis.add_audit_month(of_log smallint, of_month date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    of_log_table text := format('audit_block_%s', of_log);
    of_month_table text := format('audit_block_%s_%s', of_log, to_char(of_month, 'YYYYMM'));
BEGIN
    IF to_regclass(format('anamnesis.%I', of_log_table)) IS NULL THEN
        EXECUTE format('CREATE TABLE anamnesis.%I PARTITION OF anamnesis.audit_block FOR VALUES IN (%s)
            PARTITION BY RANGE (month)', of_log_table, of_log);
    END IF;
    IF to_regclass(format('anamnesis.%I', of_month_table)) IS NULL THEN
        EXECUTE format('CREATE TABLE anamnesis.%I PARTITION OF anamnesis.%I FOR VALUES FROM (%L) TO (%L)',
            of_month_table, of_log_table, of_month, (of_month + interval '1 month')::date);
    END IF;
END $$;
