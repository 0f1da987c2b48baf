SELECT count(DISTINCT event.location_id)
FROM (SELECT DISTINCT location_id FROM {{ final_table }}) AS event
INNER JOIN infrastructure.cells AS cell ON
    cell.id = event.location_id
    AND cell.geom_point IS NOT NULL
    AND coalesce(cell.date_of_first_service, '-infinity') <= '{{ ds }}'::date
    AND coalesce(cell.date_of_last_service, 'infinity') >= '{{ ds }}'::date
