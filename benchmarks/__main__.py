"""Build data, ask the nine questions, write tables: ``python -m benchmarks``.

See ``benchmarks/README.md``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent / "tools"))

from benchmarks import kinds, kinds_report, ledger, loading, packages, packages_report, report, scaling
from benchmarks.country import Size
from benchmarks.measure import Say, measure
from benchmarks.record import OtherSettings

SCALES = {"smoke": Size(20_000, 7, 150_000), "full": Size(200_000, 14, 1_500_000)}


def main() -> int:
    """Run the benchmark and return an exit status.

    0 means that all engines agreed, 1 that answers differ or ours is missing, 2 that a run cannot be resumed.
    """
    options = _parser().parse_args()

    def say(text: str) -> None:
        print(text, flush=True)

    if options.kinds:
        return _every_kind(options, say)
    if options.packages:
        return _packages(options, say)
    if options.docs:
        return _written(report.write_docs())
    if options.ledger:
        ledger.measure(say)
        return 0
    if options.loading:
        return _written(loading.measure(say, report.write_docs))
    if options.scaling:
        return _written(scaling.measure(options.workers, say, report.write_scaling))
    base = SCALES[options.scale]
    size = Size(
        options.subscribers or base.subscribers,
        options.days or base.days,
        options.events_per_day or base.events_per_day,
    )
    scale = options.scale if size == base else size.name

    def keep(found: dict[str, Any]) -> None:
        report.write(report.merged(found) if options.only else found, scale)

    try:
        found = _measured(options, size, say, keep)
    except OtherSettings as error:
        say(f"{error} Leave out --resume to begin a new run.")
        return 2
    if options.only:
        found = report.merged(found)
    print(report.summary(found))
    print(report.table(found))
    _written(report.write(found, scale))
    return 1 if found["disagreements"] else 0


def _measured(
    options: argparse.Namespace, size: Size, say: Say, keep: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    return measure(
        size,
        published=not options.skip_published,
        workers=options.workers,
        repeats=options.repeats,
        say=say,
        keep=keep,
        only=options.only,
        resume=options.resume,
    )


def _every_kind(options: argparse.Namespace, say: Say) -> int:
    """Measure the kinds on the sizes asked for.

    Returns 0 if none failed and the hand-written answers were equal.
    """
    failed: list[str] = []
    if not options.docs:
        for subscribers in [options.subscribers] if options.subscribers else kinds.SUBSCRIBERS:
            failed += kinds.run(subscribers, options.only, options.repeats, say, kinds_report.keep)
    _written(kinds_report.write())
    return 1 if failed or kinds_report.differing() else 0


def _packages(options: argparse.Namespace, say: Say) -> int:
    """Compare with published packages.

    Returns 0 if every difference has its reason.
    """
    if not options.docs:
        packages_report.keep(packages.measure(options.repeats, say))
    _written(packages_report.write())
    return 1 if packages_report.differing(packages_report.numbers()) else 0


def _written(paths: list[Path]) -> int:
    for path in paths:
        print(f"written: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="full", help="default: %(default)s")
    parser.add_argument("--subscribers", type=int, help="instead of the scale's")
    parser.add_argument("--days", type=int, help="instead of the scale's")
    parser.add_argument("--events-per-day", type=int, help="instead of the scale's; of all types together")
    parser.add_argument("--workers", type=int, default=2, help="of our engine; default: %(default)s")
    parser.add_argument(
        "--repeats", type=int, default=3, help="cold runs of ours, the best counts; default: 3"
    )
    parser.add_argument(
        "--only", nargs="+", help="ask these questions, or kinds; the others keep their latest numbers"
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the record of an interrupted run: ask what was not answered yet",
    )
    parser.add_argument("--skip-published", action="store_true", help="do not ask the published engine")
    parser.add_argument(
        "--kinds", action="store_true", help="measure every query kind instead of the nine questions"
    )
    parser.add_argument(
        "--packages", action="store_true", help="only compare measures with scikit-mobility and bandicoot"
    )
    parser.add_argument("--scaling", action="store_true", help="only measure how cost grows with the data")
    parser.add_argument(
        "--ledger", action="store_true", help="only measure what judging answers together costs"
    )
    parser.add_argument(
        "--loading", action="store_true", help="only measure the loader at an operator's size"
    )
    parser.add_argument(
        "--docs", action="store_true", help="only make the page and picture from the latest numbers"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
