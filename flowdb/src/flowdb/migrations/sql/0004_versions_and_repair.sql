-- What else a stored result may be made from, and which columnar files the engine found damaged.

-- A number for each subject that moves with every change to its tables, as that of the cells does.
CREATE TABLE etl.versions (
    subject TEXT PRIMARY KEY,
    version BIGINT NOT NULL
);
COMMENT ON TABLE etl.versions IS 'Moves with every change to the device models and to mobile money';
INSERT INTO etl.versions (subject, version) VALUES ('devices', 1), ('mobile_money', 1);

CREATE FUNCTION etl.advance_version() RETURNS TRIGGER
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE etl.versions SET version = version + 1 WHERE subject = TG_ARGV[0];
    RETURN NULL;
END;
$$;
REVOKE EXECUTE ON FUNCTION etl.advance_version() FROM PUBLIC;

CREATE TRIGGER devices_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON infrastructure.tacs
FOR EACH STATEMENT EXECUTE FUNCTION etl.advance_version('devices');
CREATE TRIGGER transactions_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dfs.transactions
FOR EACH STATEMENT EXECUTE FUNCTION etl.advance_version('mobile_money');
CREATE TRIGGER parties_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dfs.transactions_metadata
FOR EACH STATEMENT EXECUTE FUNCTION etl.advance_version('mobile_money');
CREATE TRIGGER subscribers_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dfs.subscribers
FOR EACH STATEMENT EXECUTE FUNCTION etl.advance_version('mobile_money');

-- The engine adds a day here and cannot mend it; the loader mends it and takes it away.
CREATE TABLE etl.damaged_files (
    cdr_type TEXT NOT NULL,
    cdr_date DATE NOT NULL,
    noticed TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (cdr_type, cdr_date)
);
COMMENT ON TABLE etl.damaged_files IS 'Days whose columnar file the engine found missing or other than its manifest says';
GRANT INSERT ON etl.damaged_files TO flowmachine;

CREATE FUNCTION etl.tell_of_damage() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('flowetl_damaged_files', '');
    RETURN NULL;
END;
$$;
CREATE TRIGGER damage_noticed AFTER INSERT ON etl.damaged_files
FOR EACH STATEMENT EXECUTE FUNCTION etl.tell_of_damage();
