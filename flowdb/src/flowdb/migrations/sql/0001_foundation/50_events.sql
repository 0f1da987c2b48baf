-- Durations are seconds and volumes megabytes. Calls and messages hold one row per party seen, both with
-- the same id. There are no indexes on the parents: each day's are built before it is attached.

CREATE TABLE events.calls (
    id TEXT,
    outgoing BOOLEAN,
    datetime TIMESTAMPTZ NOT NULL,
    duration NUMERIC,
    network TEXT,
    msisdn TEXT COLLATE "C" NOT NULL,
    msisdn_counterpart TEXT COLLATE "C",
    location_id TEXT,
    imsi TEXT COLLATE "C",
    imei TEXT COLLATE "C",
    tac NUMERIC(8),
    operator_code NUMERIC,
    country_code NUMERIC
) PARTITION BY RANGE (datetime);

CREATE TABLE events.sms (
    id TEXT,
    outgoing BOOLEAN,
    datetime TIMESTAMPTZ NOT NULL,
    network TEXT,
    msisdn TEXT COLLATE "C" NOT NULL,
    msisdn_counterpart TEXT COLLATE "C",
    location_id TEXT,
    imsi TEXT COLLATE "C",
    imei TEXT COLLATE "C",
    tac NUMERIC(8),
    operator_code NUMERIC,
    country_code NUMERIC
) PARTITION BY RANGE (datetime);

CREATE TABLE events.forwards (
    id TEXT,
    outgoing BOOLEAN,
    datetime TIMESTAMPTZ NOT NULL,
    network TEXT,
    msisdn TEXT COLLATE "C" NOT NULL,
    msisdn_counterpart TEXT COLLATE "C",
    location_id TEXT,
    imsi TEXT COLLATE "C",
    imei TEXT COLLATE "C",
    tac NUMERIC(8),
    operator_code NUMERIC,
    country_code NUMERIC
) PARTITION BY RANGE (datetime);

CREATE TABLE events.mds (
    id TEXT,
    datetime TIMESTAMPTZ NOT NULL,
    duration NUMERIC,
    volume_total NUMERIC,
    volume_upload NUMERIC,
    volume_download NUMERIC,
    msisdn TEXT COLLATE "C" NOT NULL,
    location_id TEXT,
    imsi TEXT COLLATE "C",
    imei TEXT COLLATE "C",
    tac NUMERIC(8),
    operator_code NUMERIC,
    country_code NUMERIC
) PARTITION BY RANGE (datetime);

CREATE TABLE events.topups (
    id TEXT,
    datetime TIMESTAMPTZ NOT NULL,
    type TEXT,
    recharge_amount NUMERIC,
    airtime_fee NUMERIC,
    tax_and_fee NUMERIC,
    pre_event_balance NUMERIC,
    post_event_balance NUMERIC,
    msisdn TEXT COLLATE "C" NOT NULL,
    location_id TEXT,
    imsi TEXT COLLATE "C",
    imei TEXT COLLATE "C",
    tac NUMERIC(8),
    operator_code NUMERIC,
    country_code NUMERIC
) PARTITION BY RANGE (datetime);

CREATE TABLE events.location_ids (
    location_id TEXT,
    cdr_type TEXT,
    first_active_date DATE,
    last_active_date DATE,
    PRIMARY KEY (location_id, cdr_type)
);
