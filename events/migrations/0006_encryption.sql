-- Bodies may be sealed, each with the data key of its home compartment, which a master key wraps.

CREATE TABLE anamnesis.data_key (
    id           integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log          smallint    NOT NULL,
    -- The first 16 bytes of the SHA-256 of the compartment's name. All zeros: no compartment, but what the master key of
    -- the log is tried with before anything is written.
    compartment  uuid        NOT NULL,
    -- NULL: destroyed.
    wrapped      bytea,
    master_key   text        NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    -- The position of the event that destroyed it.
    destroyed_by bigint,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL AND destroyed_by IS NOT NULL))
);
-- Of several servers that make the key of a compartment at once, one does.
CREATE UNIQUE INDEX data_key_living ON anamnesis.data_key (log, compartment) WHERE wrapped IS NOT NULL;
CREATE INDEX data_key_wrapped_by ON anamnesis.data_key (log, master_key, id) WHERE wrapped IS NOT NULL;

-- Up to where bodies that were stored in clear have been sealed.
CREATE TABLE anamnesis.sealed_until (
    log smallint PRIMARY KEY,
    seq bigint   NOT NULL
);

-- As before; and a body in clear may become a sealed one of its very length (38 bytes are those of the sealed form). That it
-- is the same body the hash chain shows.
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
                AND e.resource_type = NEW.resource_type AND e.id = NEW.id
                AND (e.kind IN (4, 5) AND NEW.seq = e.prev_seq
                    OR e.kind = 6 AND NEW.seq <= e.prev_seq
                    OR e.kind = 7 AND NEW.seq < e.prev_seq))
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
