"""What is loaded, by event type."""

from typing import Any

from flowetl.deployment import Deployment
from flowetl.events import CDR_TYPES


def coverage(deployment: Deployment) -> list[dict[str, Any]]:
    """For each event type: visible days, first, last, rows, rejects, and the days whose newest load is not visible."""
    found = []
    with deployment.connect() as connection, connection.cursor() as cursor:
        for cdr_type in CDR_TYPES:
            cursor.execute(
                "SELECT count(*), min(loads.cdr_date), max(loads.cdr_date), coalesce(sum(rows), 0)::bigint, "
                "coalesce(sum(rejects), 0)::bigint FROM etl.current_loads AS visible JOIN etl.loads AS loads USING (load_id) "
                "WHERE visible.cdr_type = %s",
                (cdr_type,),
            )
            days, first, last, rows, rejects = cursor.fetchone() or (0, None, None, 0, 0)
            cursor.execute(
                "SELECT cdr_date, state, note, started FROM (SELECT DISTINCT ON (cdr_date) * FROM etl.loads "
                "WHERE cdr_type = %s ORDER BY cdr_date, started DESC) AS newest "
                "WHERE state NOT IN ('ingested', 'superseded') ORDER BY cdr_date",
                (cdr_type,),
            )
            problems = [
                {"date": date, "state": state, "note": note, "started": started}
                for date, state, note, started in cursor.fetchall()
            ]
            found.append(
                {
                    "cdr_type": cdr_type,
                    "days": days,
                    "first": first,
                    "last": last,
                    "rows": rows,
                    "rejects": rejects,
                    "problems": problems,
                }
            )
    return found
