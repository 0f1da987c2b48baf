"""Check the report's statements about its numbers."""

import json

from benchmarks.report import LATEST, summary


def test_the_least_is_not_rounded_up() -> None:
    report = json.loads(LATEST.read_text()) | {"geometric_mean_ratio": 46.0, "smallest_ratio": 19.96}
    assert ", 19.9 times at the least." in summary(report)
