-- The same in fewer bytes: keys of indexes are hashes, and a head keeps its identifiers as plain bytes.

-- Four bytes find the events of a type, or of a compartment: whoever reads compares the name itself as well.
CREATE INDEX event_by_type_hash ON anamnesis.event (log, hashtext(resource_type), seq);
CREATE INDEX event_by_home_hash ON anamnesis.event (log, hashtext(home), seq);
DROP INDEX anamnesis.event_by_type;
DROP INDEX anamnesis.event_by_home;

-- The key is a hash of the identifier already; the holder's id need not stand in the index a second time. That no holder
-- is there twice follows from the heads, which are compared under the log's lock.
CREATE INDEX identifier_holder ON anamnesis.identifier (log, key);
ALTER TABLE anamnesis.identifier DROP CONSTRAINT identifier_pkey;

-- 16 bytes for each identifier, one after the other, without the header of an array.
CREATE FUNCTION anamnesis.identifier_bytes(keys uuid[]) RETURNS bytea
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT string_agg(uuid_send(key), ''::bytea ORDER BY place) FROM unnest(keys) WITH ORDINALITY AS k (key, place)
$$;
ALTER TABLE anamnesis.head ALTER COLUMN identifiers TYPE bytea USING anamnesis.identifier_bytes(identifiers);
DROP FUNCTION anamnesis.identifier_bytes;

-- The identifiers of a head, for whoever compares them with the table.
CREATE FUNCTION anamnesis.identifier_keys(bytes bytea) RETURNS uuid[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(encode(substring(bytes FROM place * 16 + 1 FOR 16), 'hex')::uuid ORDER BY place)
    FROM generate_series(0, length(bytes) / 16 - 1) AS place
$$;
