"""Statements of kinds that only the database can answer."""

from __future__ import annotations

from benchmarks.hand_written import (
    FLOOR,
)
from benchmarks.kind_statements.subscribers import (
    ONE_DAY,
)
from benchmarks.questions import Window


def geography(window: Window) -> str:
    return """
        SELECT admin3pcod AS pcod, geom FROM geography.admin3 ORDER BY admin3pcod COLLATE "C"
    """


def dummy_query(window: Window) -> str:
    return "SELECT 'nothing' AS dummy_param"


def dfs_metric_total_amount(window: Window) -> str:
    return f"""
        WITH places AS MATERIALIZED (
            SELECT id AS cell_id, version AS cell_version, admin3pcod AS pcod
            FROM infrastructure.cells JOIN geography.admin3 ON ST_Within(cells.geom_point, admin3.geom)
        )
        SELECT timestamp::date AS date, pcod, sum(amount) AS value
        FROM dfs.transactions JOIN dfs.transactions_metadata ON transaction_id = transactions.id
        JOIN places USING (cell_id, cell_version) LEFT JOIN dfs.subscribers ON subscribers.id = subscriber_id
        WHERE timestamp >= '{window[0]}' AND timestamp < '{window[1] + ONE_DAY}' AND amount IS NOT NULL
        GROUP BY date, pcod HAVING count(DISTINCT msisdn) > {FLOOR} ORDER BY date, pcod
    """
