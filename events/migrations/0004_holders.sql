-- The holder of an identifier in fewer bytes: most ids are UUIDs, which take 16 instead of 37.

-- An id as it stands in the column: a UUID in its usual form as 00 and its bytes, any other id as 01 and its text.
CREATE FUNCTION anamnesis.holder(id text) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
        THEN '\x00'::bytea || uuid_send(id::uuid) ELSE '\x01'::bytea || convert_to(id, 'UTF8') END
$$;
ALTER TABLE anamnesis.identifier ALTER COLUMN id TYPE bytea USING anamnesis.holder(id);
