-- Idempotency keys: which request was recorded where, so that a request that is sent again is answered from what it
-- recorded the first time. An older program neither reads nor writes this table.

CREATE TABLE anamnesis.idempotency (
    recorded_at timestamptz NOT NULL,        -- of the first event: when the key may be forgotten
    first_seq   bigint      NOT NULL,
    events      integer     NOT NULL,        -- from first_seq on, without a hole
    log         smallint    NOT NULL,
    key         uuid        NOT NULL,
    fingerprint bytea       NOT NULL,        -- of the request: the same key must not stand for another one
    note        bytea,                       -- what the writer needs beside the events to give the same answer again
    PRIMARY KEY (log, key)
);
-- Which keys are old enough to be forgotten.
CREATE INDEX idempotency_by_time ON anamnesis.idempotency (log, recorded_at);
