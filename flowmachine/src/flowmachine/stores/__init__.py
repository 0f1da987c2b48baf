"""Name the stores of results and the executors.

`flowmachine.stores.choice` chooses the executor of a query.
"""

from flowmachine.settings import COLUMNAR, EXECUTORS, TABLES

__all__ = ["COLUMNAR", "EXECUTORS", "TABLES"]
