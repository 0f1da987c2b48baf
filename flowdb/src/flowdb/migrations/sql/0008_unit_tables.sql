-- The tables that a spec may name to place cells: an administrator allows each.

-- A table is allowed as long as it has this trigger, with its own name: so a table that was dropped, made anew or renamed is
-- not. Its number stays in etl.versions and never falls, whatever becomes of the table: maps are named by it.
CREATE FUNCTION etl.allow_unit_table(allowed REGCLASS) RETURNS VOID
LANGUAGE plpgsql AS $$
DECLARE
    table_schema NAME;
    table_name NAME;
    table_kind "char";
    subject TEXT;
BEGIN
    SELECT nspname, relname, relkind INTO STRICT table_schema, table_name, table_kind
    FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace WHERE pg_class.oid = allowed;
    IF table_kind <> 'r' THEN
        RAISE EXCEPTION '% is not an ordinary table, and changes of others go unnoticed.', allowed
        USING ERRCODE = 'wrong_object_type';
    END IF;
    IF table_schema LIKE '%.%' OR table_name LIKE '%.%' THEN
        RAISE EXCEPTION '% has a dot in its name, which specs cannot tell from the dot after the schema.', allowed
        USING ERRCODE = 'invalid_name';
    END IF;
    subject := table_schema || '.' || table_name;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO flowmachine', table_schema);
    EXECUTE format('GRANT SELECT ON %s TO flowmachine', allowed);
    EXECUTE format(
        'CREATE OR REPLACE TRIGGER unit_table_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s'
        ' FOR EACH STATEMENT EXECUTE FUNCTION etl.advance_version(%L)',
        allowed, subject
    );
    INSERT INTO etl.versions AS v (subject, version) VALUES (subject, 1)
    ON CONFLICT ON CONSTRAINT versions_pkey DO UPDATE SET version = v.version + 1;
END;
$$;
COMMENT ON FUNCTION etl.allow_unit_table IS 'From now on specs may name the table as mapping_table or geom_table';

-- Of tables in schemas that the engine reads whole, the right to read stays.
CREATE FUNCTION etl.forbid_unit_table(forbidden REGCLASS) RETURNS VOID
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('DROP TRIGGER unit_table_changed ON %s', forbidden);
    IF NOT EXISTS (
        SELECT FROM pg_default_acl, aclexplode(defaclacl), pg_class
        WHERE pg_class.oid = forbidden AND defaclnamespace = relnamespace AND defaclobjtype = 'r'
        AND grantee = 'flowmachine'::regrole AND privilege_type = 'SELECT'
    ) THEN
        EXECUTE format('REVOKE SELECT ON %s FROM flowmachine', forbidden);
    END IF;
END;
$$;
COMMENT ON FUNCTION etl.forbid_unit_table IS 'From now on specs may no longer name the table';

REVOKE EXECUTE ON FUNCTION etl.allow_unit_table(regclass), etl.forbid_unit_table(regclass) FROM PUBLIC;

CREATE VIEW etl.unit_tables AS
SELECT
    nspname || '.' || relname AS name,
    ARRAY(
        SELECT attname::text FROM pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum
    ) AS columns
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = c.oid AND tgname = 'unit_table_changed' AND tgfoid = 'etl.advance_version'::regproc
    AND tgargs = convert_to(nspname || '.' || relname, 'UTF8') || '\x00'::bytea
) OR c.oid = 'infrastructure.cells'::regclass;
COMMENT ON VIEW etl.unit_tables IS 'Tables that specs may name as mapping_table or geom_table';

COMMENT ON TABLE etl.versions IS
'Moves with every change to the device models, to mobile money and to each table that specs may name (schema.table)';
