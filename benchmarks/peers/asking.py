"""Read what is asked of a package, time it and write the answers.

It runs in the package's own environment, so it uses the standard library only.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any


def answer(package: str, compute: Callable[[dict[str, Any]], Callable[[], dict[str, Any]]]) -> None:
    """Write the values of each measure and the least processor seconds.

    Parameters
    ----------
    compute : callable
        From what is asked of one measure to a function without arguments that computes its values by subscriber.
    """
    asked_file, answers_file = map(Path, sys.argv[2:])
    asked = json.loads(asked_file.read_text())
    answers = {}
    for name, question in asked["measures"].items():
        run, best = compute(question), float("inf")
        for _ in range(asked["repeats"]):
            started = time.process_time()
            values = run()
            best = min(best, time.process_time() - started)
        answers[name] = {"values": values, "processor_seconds": best}
    found = {"version": version(package), "python": platform.python_version(), "answers": answers}
    answers_file.write_text(json.dumps(found))
