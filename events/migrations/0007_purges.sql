-- A compartment may be purged as a whole, and held so that nothing of it is taken away.

-- What may be written in compartments just now. Has a row for each one that is held or is being purged, and for no other.
CREATE TABLE anamnesis.compartment_guard (
    log         smallint NOT NULL,
    compartment uuid     NOT NULL,          -- the first 16 bytes of the SHA-256 of its name
    purge_seq   bigint,                     -- the PurgeBegun of a purge that has not ended
    hold_seq    bigint,                     -- the LegalHoldPlaced of a hold that stands
    held_at     timestamptz,                -- when that was recorded
    PRIMARY KEY (log, compartment),
    CHECK (purge_seq IS NOT NULL OR hold_seq IS NOT NULL),
    CHECK ((hold_seq IS NULL) = (held_at IS NULL))
);
-- Whether it has a row: read with the lock that every append takes, so that a log without guards pays nothing for them.
ALTER TABLE anamnesis.log ADD COLUMN guarded boolean NOT NULL DEFAULT false;

-- Sets what may be written in a compartment; under the log's lock.
CREATE FUNCTION anamnesis.set_guard(
    of_log smallint, of_compartment uuid, purge bigint, hold bigint, held timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM anamnesis.compartment_guard WHERE log = of_log AND compartment = of_compartment;
    IF purge IS NOT NULL OR hold IS NOT NULL THEN
        INSERT INTO anamnesis.compartment_guard (log, compartment, purge_seq, hold_seq, held_at)
        VALUES (of_log, of_compartment, purge, hold, held);
    END IF;
    UPDATE anamnesis.log SET guarded = EXISTS (SELECT FROM anamnesis.compartment_guard WHERE log = of_log)
    WHERE log = of_log;
END $$;

-- As before; and 9 CompartmentPurged erases what is left of events before it whose home is its own, of whatever resource.
CREATE OR REPLACE FUNCTION anamnesis.only_erase() RETURNS trigger LANGUAGE plpgsql AS $$
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
                AND (e.kind = 9 AND NEW.home = e.home
                    OR e.resource_type = NEW.resource_type AND e.id = NEW.id
                    AND (e.kind IN (4, 5) AND NEW.seq = e.prev_seq
                        OR e.kind = 6 AND NEW.seq <= e.prev_seq
                        OR e.kind = 7 AND NEW.seq < e.prev_seq)))
        THEN
            RETURN NEW;
        END IF;
    ELSIF TG_OP = 'UPDATE' AND octet_length(OLD.payload) > 0 AND get_byte(OLD.payload, 0) <> 167
        AND octet_length(NEW.payload) = octet_length(OLD.payload) + 38
        AND get_byte(NEW.payload, 0) = 167 AND get_byte(NEW.payload, 1) = 1
    THEN
        kept := OLD;
        kept.payload := NEW.payload;
        IF kept IS NOT DISTINCT FROM NEW THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'restrict_violation';
END $$;
