SELECT max(msisdns)
FROM (
    SELECT count(*) AS msisdns
    FROM (SELECT DISTINCT imei, msisdn FROM {{ final_table }} WHERE imei IS NOT NULL) AS pair
    GROUP BY imei
) AS sharing
