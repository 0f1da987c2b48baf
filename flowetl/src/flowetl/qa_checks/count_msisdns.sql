SELECT count(DISTINCT party.msisdn) FROM ({{ parties }}) AS party
