"""The client's functions are those of the kinds in the engine's registry."""

from __future__ import annotations

import sys
from pathlib import Path

from flowmachine.schema import query_schemas

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "flowclient" / "tools"))

from flowclient_generator.compare import differences


def test_the_clients_table_says_what_the_registry_says():
    assert differences(query_schemas()) == []
