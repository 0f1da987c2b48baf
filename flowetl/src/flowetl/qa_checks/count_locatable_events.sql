-- An event whose cell has two versions valid that day counts twice.
SELECT coalesce(sum(event.events), 0)
FROM (SELECT location_id, count(*) AS events FROM {{ final_table }} GROUP BY location_id) AS event
INNER JOIN infrastructure.cells AS cell ON
    cell.id = event.location_id
    AND cell.geom_point IS NOT NULL
    AND coalesce(cell.date_of_first_service, '-infinity') <= '{{ ds }}'::date
    AND coalesce(cell.date_of_last_service, 'infinity') >= '{{ ds }}'::date
