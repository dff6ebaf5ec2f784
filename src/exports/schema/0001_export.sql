-- Bulk exports: what was asked for, how far it is, and which versions of the log its files consist of.

CREATE TABLE anamnesis.export_job (
    id            text        PRIMARY KEY COLLATE "C",
    log           smallint    NOT NULL,
    service       text        NOT NULL COLLATE "C",
    -- Who has begun it: nobody else is told of it.
    issuer        text        COLLATE "C",
    subject       text        NOT NULL COLLATE "C",
    client        text        COLLATE "C",
    -- What the scopes of the token have left of the resources, as JSON; NULL: all of them.
    restriction   text,
    -- system, patient or group
    level         text        NOT NULL COLLATE "C",
    group_id      text        COLLATE "C",
    types         text[],
    -- Searches of types, `Type?criteria`: of a type with some, what answers one of them.
    filters       text[]      NOT NULL,
    -- The state of this position is exported; of it the versions that were recorded after `since` and up to `until`.
    position      bigint      NOT NULL,
    since         bigint      NOT NULL,
    until         bigint      NOT NULL,
    position_time timestamptz NOT NULL,
    base          text        NOT NULL,
    request       text        NOT NULL,
    begun_at      timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL,
    -- running, done or failed
    state         text        NOT NULL COLLATE "C" DEFAULT 'running',
    status        integer,
    reason        text,
    -- How far the log has been looked through: of which member of the group, and up to which position.
    member        integer     NOT NULL DEFAULT 0,
    cursor        bigint      NOT NULL,
    percent       integer     NOT NULL DEFAULT 0,
    resources     bigint      NOT NULL DEFAULT 0,
    -- Versions of then whose bodies were gone when they were looked for.
    gone          bigint      NOT NULL DEFAULT 0,
    -- Who works on it, and until when nobody else may.
    lease         text,
    leased_until  timestamptz,
    turned_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX export_job_of_log ON anamnesis.export_job (log, service);

CREATE TABLE anamnesis.export_file (
    job       text    NOT NULL COLLATE "C" REFERENCES anamnesis.export_job ON DELETE CASCADE,
    type      text    NOT NULL COLLATE "C",
    number    integer NOT NULL,
    resources bigint  NOT NULL,
    chunks    integer NOT NULL,
    PRIMARY KEY (job, type, number)
);

-- A file is a list of positions: its lines are in the log, and nowhere else.
CREATE TABLE anamnesis.export_chunk (
    job       text     NOT NULL COLLATE "C" REFERENCES anamnesis.export_job ON DELETE CASCADE,
    type      text     NOT NULL COLLATE "C",
    number    integer  NOT NULL,
    chunk     integer  NOT NULL,
    first     bigint   NOT NULL,
    last      bigint   NOT NULL,
    positions bigint[] NOT NULL,
    PRIMARY KEY (job, type, number, chunk)
);
