"""Reports: pages made for a period, kept by version, with an index.

Needs the extra ``reports``. ``python -m flowclient.reports`` runs the commands.
"""

from flowclient.reports.definition import Definition, read_definition

__all__ = ["Definition", "read_definition"]
