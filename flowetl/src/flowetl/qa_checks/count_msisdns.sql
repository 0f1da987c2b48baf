SELECT count(DISTINCT party.msisdn)
FROM (
    SELECT msisdn FROM {{ final_table }}
    {% if has_counterparts %}
    UNION SELECT msisdn_counterpart FROM {{ final_table }} WHERE msisdn_counterpart IS NOT NULL
    {% endif %}
) AS party
