SELECT count(*)
FROM (
    {% if has_counterparts %}
    SELECT msisdn FROM {{ final_table }}
    UNION SELECT msisdn_counterpart FROM {{ final_table }} WHERE msisdn_counterpart IS NOT NULL
    {% else %}
    SELECT DISTINCT msisdn FROM {{ final_table }}
    {% endif %}
) AS party
