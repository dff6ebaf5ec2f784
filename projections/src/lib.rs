//! Read models: everything that is searched is derived here from events.
