//! The private Postgres and NATS that Anamnesis runs when none is configured.
