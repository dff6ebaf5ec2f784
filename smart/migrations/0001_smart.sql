-- The authorization server: who may sign in, which apps there are, and what was granted. All of a workspace.

CREATE SCHEMA IF NOT EXISTS anamnesis;

-- Gives every workspace a small number.
CREATE TABLE anamnesis.smart_realm (
    realm     smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace text NOT NULL UNIQUE
);

-- Keys that tokens are signed with. The private half is sealed by the server's master key where it has one.
CREATE TABLE anamnesis.smart_key (
    realm      smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    kid        text        NOT NULL,
    algorithm  text        NOT NULL,
    public     jsonb       NOT NULL,
    private    bytea       NOT NULL,
    made_at    timestamptz NOT NULL,
    -- From when it signs: later than it is published, so that everybody knows it by then.
    signs_from timestamptz NOT NULL,
    -- From when it signs nothing more. What it has signed is good until `gone_at`.
    retired_at timestamptz,
    gone_at    timestamptz,
    PRIMARY KEY (realm, kid)
);

-- Apps that were registered over the API. Those of the configuration are not stored.
CREATE TABLE anamnesis.smart_client (
    realm      smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    id         text        NOT NULL,
    -- What it is, as `Client` is written.
    said       jsonb       NOT NULL,
    -- SHA-256 of the token that may read, change and remove the registration (RFC 7592).
    management bytea,
    -- Whether an operator has registered it, not anybody.
    by_operator boolean    NOT NULL,
    made_at    timestamptz NOT NULL,
    PRIMARY KEY (realm, id)
);

CREATE TABLE anamnesis.smart_user (
    realm       smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    -- The subject of tokens; never given to anybody else.
    id          uuid        NOT NULL,
    -- What is typed to sign in, folded to lower case.
    name        text        NOT NULL,
    display     text        NOT NULL,
    -- `Patient/1`, `Practitioner/2` …
    fhir_user   text,
    -- A PHC string of argon2id; none for those who sign in elsewhere only.
    password    text,
    -- Where and as whom they sign in elsewhere.
    upstream    text,
    subject     text,
    is_enabled  boolean     NOT NULL DEFAULT true,
    made_at     timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL,
    PRIMARY KEY (realm, id),
    UNIQUE (realm, name),
    UNIQUE (realm, upstream, subject)
);

-- Who has signed in with this browser. The cookie is known by its SHA-256 only.
CREATE TABLE anamnesis.smart_session (
    realm     smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    digest    bytea       NOT NULL,
    user_id   uuid        NOT NULL,
    made_at   timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL,
    PRIMARY KEY (realm, digest),
    FOREIGN KEY (realm, user_id) REFERENCES anamnesis.smart_user ON DELETE CASCADE
);
CREATE INDEX smart_session_user ON anamnesis.smart_session (realm, user_id);
CREATE INDEX smart_session_ends ON anamnesis.smart_session (ends_at);

-- Wrong passwords, by what was guessed for and by where it came from: a digest each.
CREATE TABLE anamnesis.smart_attempt (
    realm    smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    of       bytea       NOT NULL,
    count    integer     NOT NULL,
    first_at timestamptz NOT NULL,
    last_at  timestamptz NOT NULL,
    PRIMARY KEY (realm, of)
);
CREATE INDEX smart_attempt_last ON anamnesis.smart_attempt (last_at);

-- A request for authorization between its first page and its last. Known by its SHA-256 only.
CREATE TABLE anamnesis.smart_request (
    realm   smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    digest  bytea       NOT NULL,
    said    jsonb       NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (realm, digest)
);
CREATE INDEX smart_request_ends ON anamnesis.smart_request (ends_at);

-- What an electronic health record has open when it launches an app (parameter `launch`). Known by its SHA-256 only.
CREATE TABLE anamnesis.smart_launch (
    realm   smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    digest  bytea       NOT NULL,
    said    jsonb       NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (realm, digest)
);
CREATE INDEX smart_launch_ends ON anamnesis.smart_launch (ends_at);

-- Families of tokens: all that came of one authorization. Access tokens name theirs, so that ending it ends them.
CREATE TABLE anamnesis.smart_family (
    realm      smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    family     uuid        NOT NULL,
    -- The service whose base its tokens are for.
    service    text        NOT NULL,
    client     text        NOT NULL,
    user_id    uuid,
    scope      text        NOT NULL,
    patient    text,
    -- What the user has approved, as `Approval` is written; none for backend services.
    said       jsonb,
    -- The session of the browser, where `online_access` was granted: `smart_session.digest`.
    session    bytea,
    made_at    timestamptz NOT NULL,
    -- Until when any token of it may be good.
    ends_at    timestamptz NOT NULL,
    -- Until when an access token of it may be good.
    access_ends_at timestamptz NOT NULL,
    -- By the clock of the database, so that caches can follow.
    revoked_at timestamptz,
    PRIMARY KEY (realm, family)
);
CREATE INDEX smart_family_ends ON anamnesis.smart_family (ends_at);
CREATE INDEX smart_family_user ON anamnesis.smart_family (realm, user_id);
CREATE INDEX smart_family_client ON anamnesis.smart_family (realm, client);
CREATE INDEX smart_family_revoked ON anamnesis.smart_family (realm, revoked_at) WHERE revoked_at IS NOT NULL;

-- Authorization codes. Known by their SHA-256 only. A used one stays for a day, so that a second use ends what the first
-- one gave (RFC 6749 section 4.1.2).
CREATE TABLE anamnesis.smart_code (
    realm   smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    digest  bytea       NOT NULL,
    family  uuid        NOT NULL,
    ends_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (realm, digest),
    FOREIGN KEY (realm, family) REFERENCES anamnesis.smart_family ON DELETE CASCADE
);
CREATE INDEX smart_code_family ON anamnesis.smart_code (realm, family);
CREATE INDEX smart_code_ends ON anamnesis.smart_code (ends_at);

-- Refresh tokens. Each is used once and gives the next one of its family; a second use ends the family (RFC 9700 section 4.14).
CREATE TABLE anamnesis.smart_refresh (
    realm   smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    digest  bytea       NOT NULL,
    family  uuid        NOT NULL,
    ends_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (realm, digest),
    FOREIGN KEY (realm, family) REFERENCES anamnesis.smart_family ON DELETE CASCADE
);
CREATE INDEX smart_refresh_family ON anamnesis.smart_refresh (realm, family);
CREATE INDEX smart_refresh_ends ON anamnesis.smart_refresh (ends_at);
CREATE INDEX smart_refresh_used ON anamnesis.smart_refresh (used_at) WHERE used_at IS NOT NULL;

-- Single access tokens that were revoked, until they end.
CREATE TABLE anamnesis.smart_revoked (
    realm      smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    jti        uuid        NOT NULL,
    -- By the clock of the database.
    revoked_at timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    PRIMARY KEY (realm, jti)
);
CREATE INDEX smart_revoked_at ON anamnesis.smart_revoked (realm, revoked_at);
CREATE INDEX smart_revoked_ends ON anamnesis.smart_revoked (ends_at);

-- Client assertions that were used, until they end (RFC 7523 section 3, item 7).
CREATE TABLE anamnesis.smart_assertion (
    realm   smallint    NOT NULL REFERENCES anamnesis.smart_realm,
    digest  bytea       NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (realm, digest)
);
CREATE INDEX smart_assertion_ends ON anamnesis.smart_assertion (ends_at);
