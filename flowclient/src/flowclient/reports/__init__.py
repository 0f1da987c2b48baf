"""Reports: pages made for a period, kept by version, with an index.

Needs the extra ``reports``. ``python -m flowclient.reports`` runs the commands. Notebooks of reports ask through
``connection``.
"""

from flowclient.reports.asking import connection
from flowclient.reports.definition import Definition, read_definition

__all__ = ["Definition", "connection", "read_definition"]
