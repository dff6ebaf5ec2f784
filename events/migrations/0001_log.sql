-- The log of every workspace: events, heads, identifiers and compartment links.

-- One row per workspace. An appender holds its row FOR UPDATE until its commit: that makes the order of
-- positions, of commits and of visibility the same.
CREATE TABLE anamnesis.log (
    log        smallint    GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace  text        NOT NULL UNIQUE,
    opened_at  timestamptz NOT NULL DEFAULT now()
);

-- Columns stand in the order of their alignment, which saves padding in every row.
CREATE TABLE anamnesis.event (
    seq               bigint      NOT NULL,
    recorded_at       timestamptz NOT NULL,
    prev_seq          bigint,                -- the previous version of this resource
    version           integer     NOT NULL,
    transaction_index integer,
    transaction_size  integer,
    log               smallint    NOT NULL,
    kind              smallint    NOT NULL,  -- 1 ResourceCreated, 2 ResourceUpdated, 3 ResourceDeleted
    kind_version      smallint    NOT NULL,
    transaction_id    uuid,
    resource_type     text        NOT NULL COLLATE "C",
    id                text        NOT NULL COLLATE "C",
    home              text        NOT NULL COLLATE "C",
    touches           text,                  -- compartments other than the home, sorted, one a line
    agent             text        NOT NULL,
    source            text,
    hash              bytea       NOT NULL,
    payload           bytea       NOT NULL,  -- a zstd frame; no bytes for a delete
    PRIMARY KEY (log, seq)
) PARTITION BY RANGE (seq);
-- The payload is compressed already.
ALTER TABLE anamnesis.event ALTER COLUMN payload SET STORAGE EXTERNAL;
-- History of a type.
CREATE INDEX event_by_type ON anamnesis.event (log, resource_type, seq);
-- History of a compartment. A hash, because the name would make the index three times as large.
CREATE INDEX event_by_home ON anamnesis.event (log, hashtextextended(home, 0), seq);

-- Which partitions there are. Ranges are [from_seq, until_seq).
CREATE TABLE anamnesis.event_partition (
    from_seq  bigint PRIMARY KEY,
    until_seq bigint NOT NULL
);

-- The name of a resource in the head table: the first 16 bytes of the SHA-256 of `type/id`. A third as long
-- as the names it stands for, which are in the event.
CREATE FUNCTION anamnesis.resource_key(resource_type text, id text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT encode(substring(sha256(convert_to(resource_type || '/' || id, 'UTF8')) FOR 16), 'hex')::uuid
$$;

-- Where each resource stands: what appends are compared with, and how a resource is read by its id.
CREATE TABLE anamnesis.head (
    seq           bigint   NOT NULL,
    version       integer  NOT NULL,
    log           smallint NOT NULL,
    deleted       boolean  NOT NULL,
    key           uuid     NOT NULL,
    identifiers   uuid[],                    -- its rows in anamnesis.identifier, so that they can be found again
    PRIMARY KEY (log, key)
) WITH (fillfactor = 90);

-- Who holds an identifier. The key is a hash of type, system and value: short, and no names in the index.
CREATE TABLE anamnesis.identifier (
    log smallint NOT NULL,
    key uuid     NOT NULL,
    id  text     NOT NULL COLLATE "C",
    PRIMARY KEY (log, key, id)
);

-- Events that touch a compartment which is not their home. The compartment is a hash of its name.
CREATE TABLE anamnesis.link (
    seq         bigint   NOT NULL,
    log         smallint NOT NULL,
    compartment uuid     NOT NULL,
    PRIMARY KEY (log, compartment, seq)
);

-- Nothing that was recorded is changed.
CREATE FUNCTION anamnesis.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER event_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON anamnesis.event
    FOR EACH STATEMENT EXECUTE FUNCTION anamnesis.refuse_change();

-- Ends the transaction with an error unless as many rows were written as must have been.
CREATE FUNCTION anamnesis.fence(written bigint, expected bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF written <> expected THEN
        RAISE EXCEPTION 'heads moved under the lock: % of % rows', written, expected
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
END $$;

-- The position of the last event recorded before the instant, 0 if there is none. Positions are dense and
-- times strictly increase, so a binary search over the primary key does without an index on time.
CREATE FUNCTION anamnesis.last_before(wanted_log smallint, instant timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    low    bigint := 0;
    high   bigint;
    middle bigint;
    found  timestamptz;
BEGIN
    SELECT seq INTO high FROM anamnesis.event WHERE log = wanted_log ORDER BY seq DESC LIMIT 1;
    high := coalesce(high, 0);
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT recorded_at INTO STRICT found FROM anamnesis.event WHERE log = wanted_log AND seq = middle;
        IF found < instant THEN low := middle; ELSE high := middle - 1; END IF;
    END LOOP;
    RETURN low;
END $$;

-- Whether the event was its resource's newest when the log stood at the position.
CREATE FUNCTION anamnesis.is_current_at(
    wanted_log smallint, wanted_type text, wanted_id text, wanted_seq bigint, position_at bigint
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE
    walked bigint;
BEGIN
    SELECT seq INTO walked FROM anamnesis.head
        WHERE log = wanted_log AND key = anamnesis.resource_key(wanted_type, wanted_id);
    WHILE walked > position_at AND walked > wanted_seq LOOP
        SELECT prev_seq INTO walked FROM anamnesis.event WHERE log = wanted_log AND seq = walked;
    END LOOP;
    RETURN coalesce(walked = wanted_seq, false);
END $$;

-- Makes the next partition. Built aside and then attached, because attaching does not stop readers and
-- writers, and creating in place would.
CREATE FUNCTION anamnesis.add_partition(events bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first bigint;
    until bigint;
    name  text;
BEGIN
    SELECT coalesce(max(until_seq), 1) INTO first FROM anamnesis.event_partition;
    until := first + events;
    name := format('event_from_%s', first);
    EXECUTE format('CREATE TABLE anamnesis.%I (LIKE anamnesis.event INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE anamnesis.event ATTACH PARTITION anamnesis.%I FOR VALUES FROM (%s) TO (%s)',
        name, first, until);
    INSERT INTO anamnesis.event_partition VALUES (first, until);
    RETURN until;
END $$;
