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
