SELECT min(datetime)::text FROM {{ final_table }}
