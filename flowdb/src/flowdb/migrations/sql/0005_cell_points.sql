-- What the API gives out as the geography of lon-lat: where cells are, without their names or dates.
CREATE VIEW geography.cell_points AS
SELECT DISTINCT ST_X(geom_point) AS lon, ST_Y(geom_point) AS lat, geom_point AS geom
FROM infrastructure.cells
WHERE geom_point IS NOT NULL;
COMMENT ON VIEW geography.cell_points IS 'Distinct points of all versions of cells';
