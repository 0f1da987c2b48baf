CREATE TABLE geography.geo_kinds (
    geo_kind_id SERIAL PRIMARY KEY,
    name TEXT
);
INSERT INTO geography.geo_kinds (name) VALUES ('admin_unit');

CREATE TABLE geography.linkage_methods (
    linkage_method_id SERIAL PRIMARY KEY,
    name TEXT,
    meta JSON
);
INSERT INTO geography.linkage_methods (name) VALUES ('point_in_polygon');

-- Every boundary. An admin unit keeps its place code in short_name, its name in long_name and its
-- parent's code under key "parent" of the metadata.
CREATE TABLE geography.geoms (
    gid BIGSERIAL PRIMARY KEY,
    added_date TIMESTAMPTZ NOT NULL DEFAULT now(),
    short_name VARCHAR,
    long_name TEXT,
    geo_kind_id INT REFERENCES geography.geo_kinds DEFAULT 1,
    spatial_resolution INT,
    additional_metadata JSON,
    geom geometry(MultiPolygon, 4326)
);
CREATE INDEX geography_geom_gist ON geography.geoms USING gist (geom);
CREATE INDEX geography_geog_gist ON geography.geoms USING gist ((geom::geography));
CREATE INDEX geoms_geo_kind_id_idx ON geography.geoms (geo_kind_id);
CREATE INDEX geoms_spatial_resolution_idx ON geography.geoms (spatial_resolution);
-- Two polygons with one place code would count every cell of the overlap twice.
CREATE UNIQUE INDEX geoms_admin_unit_key ON geography.geoms (spatial_resolution, short_name) WHERE geo_kind_id = 1;

CREATE TABLE geography.geo_bridge (
    location_id BIGINT,
    gid BIGINT REFERENCES geography.geoms (gid),
    valid_from DATE,
    valid_to DATE,
    weight DOUBLE PRECISION DEFAULT 1,
    linkage_method_id INT REFERENCES geography.linkage_methods DEFAULT 1,
    PRIMARY KEY (location_id, gid, linkage_method_id)
);
CREATE INDEX geo_bridge_linkage_method_id_idx ON geography.geo_bridge (linkage_method_id);
CREATE INDEX geo_bridge_gid_idx ON geography.geo_bridge (gid);
CREATE INDEX geo_bridge_location_id_idx ON geography.geo_bridge (location_id);

CREATE VIEW geography.admin0 AS
SELECT
    gid::integer AS gid,
    short_name::text AS admin0pcod,
    long_name AS admin0name,
    additional_metadata ->> 'parent' AS parent_pcod,
    geom
FROM geography.geoms
WHERE geo_kind_id = 1 AND spatial_resolution = 0;

CREATE VIEW geography.admin1 AS
SELECT
    gid::integer AS gid,
    short_name::text AS admin1pcod,
    long_name AS admin1name,
    additional_metadata ->> 'parent' AS parent_pcod,
    geom
FROM geography.geoms
WHERE geo_kind_id = 1 AND spatial_resolution = 1;

CREATE VIEW geography.admin2 AS
SELECT
    gid::integer AS gid,
    short_name::text AS admin2pcod,
    long_name AS admin2name,
    additional_metadata ->> 'parent' AS parent_pcod,
    geom
FROM geography.geoms
WHERE geo_kind_id = 1 AND spatial_resolution = 2;

CREATE VIEW geography.admin3 AS
SELECT
    gid::integer AS gid,
    short_name::text AS admin3pcod,
    long_name AS admin3name,
    additional_metadata ->> 'parent' AS parent_pcod,
    geom
FROM geography.geoms
WHERE geo_kind_id = 1 AND spatial_resolution = 3;
