SELECT max(msisdns)
FROM (
    SELECT count(*) AS msisdns
    FROM (SELECT DISTINCT imsi, msisdn FROM {{ final_table }} WHERE imsi IS NOT NULL) AS pair
    GROUP BY imsi
) AS sharing
