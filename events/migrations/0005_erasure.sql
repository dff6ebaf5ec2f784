-- Bodies may be erased: by an event that is appended in the same transaction, and in no other way.

-- A body that is gone leaves its SHA-256, which the hash chain needs, and the event that took it away.
ALTER TABLE anamnesis.event ALTER COLUMN payload DROP NOT NULL;
ALTER TABLE anamnesis.event ADD COLUMN commitment bytea, ADD COLUMN erased_by bigint;
-- What an event has erased. Has a row for each body that is gone, and for no other event.
CREATE INDEX event_erased ON anamnesis.event (log, erased_by, seq) WHERE erased_by IS NOT NULL;

-- Up to which erasing event the stream of the log is known to have no message of what was erased.
CREATE TABLE anamnesis.stream_cleaned (
    log smallint PRIMARY KEY,
    seq bigint   NOT NULL
);

-- Nothing that was recorded is changed, but for a body that goes because of an event of this very transaction. The kinds:
-- 4 ResourceReplaced and 5 ResourceWithdrawn erase the version before them, 6 ResourceErased all before it, and 7
-- HistoryErased, which names the current version, all before that one.
CREATE FUNCTION anamnesis.only_erase() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept record;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.payload IS NOT NULL AND NEW.payload IS NULL
        AND octet_length(NEW.commitment) = 32 AND NEW.erased_by > OLD.seq
    THEN
        kept := OLD;
        kept.payload := NULL;
        kept.commitment := NEW.commitment;
        kept.erased_by := NEW.erased_by;
        IF kept IS NOT DISTINCT FROM NEW AND EXISTS (
            SELECT FROM anamnesis.event AS e
            WHERE e.log = NEW.log AND e.seq = NEW.erased_by AND e.xmin = pg_current_xact_id()::xid
                AND e.resource_type = NEW.resource_type AND e.id = NEW.id
                AND (e.kind IN (4, 5) AND NEW.seq = e.prev_seq
                    OR e.kind = 6 AND NEW.seq <= e.prev_seq
                    OR e.kind = 7 AND NEW.seq < e.prev_seq))
        THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'restrict_violation';
END $$;
DROP TRIGGER event_is_append_only ON anamnesis.event;
-- For each row, because such triggers are on the partitions too, whoever addresses them.
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE ON anamnesis.event
    FOR EACH ROW EXECUTE FUNCTION anamnesis.only_erase();
CREATE TRIGGER event_is_not_truncated BEFORE TRUNCATE ON anamnesis.event
    FOR EACH STATEMENT EXECUTE FUNCTION anamnesis.refuse_change();

-- The same for the partitions, on which a trigger for statements has to be made one by one.
DO $$
DECLARE
    first bigint;
BEGIN
    FOR first IN SELECT from_seq FROM anamnesis.event_partition LOOP
        EXECUTE format('CREATE TRIGGER event_is_not_truncated BEFORE TRUNCATE ON anamnesis.%I
            FOR EACH STATEMENT EXECUTE FUNCTION anamnesis.refuse_change()', format('event_from_%s', first));
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION anamnesis.add_partition(events bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
    until bigint;
    name  text;
BEGIN
    SELECT coalesce(max(until_seq), 1) INTO first FROM anamnesis.event_partition;
    until := first + events;
    name := format('event_from_%s', first);
    EXECUTE format('CREATE TABLE anamnesis.%I (LIKE anamnesis.event INCLUDING ALL)', name);
    EXECUTE format('CREATE TRIGGER event_is_not_truncated BEFORE TRUNCATE ON anamnesis.%I
        FOR EACH STATEMENT EXECUTE FUNCTION anamnesis.refuse_change()', name);
    EXECUTE format('ALTER TABLE anamnesis.event ATTACH PARTITION anamnesis.%I FOR VALUES FROM (%s) TO (%s)',
        name, first, until);
    INSERT INTO anamnesis.event_partition VALUES (first, until);
    RETURN until;
END $$;
