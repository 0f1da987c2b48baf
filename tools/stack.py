"""Launch the platform for the Makefile: install, start, stop, check and test.

Standard library only. Settings come from the environment (docs/operators/settings.md lists them); state lives
in ``.flowkit``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bootstrap import TOOLS, bootstrap, install_for_benchmarks, install_system_packages
from cluster import Cluster, ClusterError
from layout import CHECKOUT, PYTHON, VENV, Layout, StackError, demo_size
from native import Native


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    A problem that the user can fix returns 1 and prints a sentence to standard error.
    """
    parser = _parser()
    options, others = parser.parse_known_args(arguments)
    if others and options.run not in (
        test,
        test_fast,
        coverage,
        mutants,
        soak,
        bench,
        flowetl,
        reports,
        containers,
    ):
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    options.arguments = others
    # Where a machine sets this, every process would compile all its modules again, which takes most of its start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        return int(options.run(options) or 0)
    except (StackError, ClusterError) as error:
        print(f"flowkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


HELP = """FlowKit on this machine. Usage: make COMMAND

Begin here
  make demo                   install, start, load a synthetic country, run the demonstration
  make test                   install what is missing and run the whole test suite; ARGS="-k flows" for some
  make doctor                 say what is missing or in the way, and the cure

The stack
  make up                     start it and wait until all is healthy
  make status                 how each service is
  make token                  print a token of the demonstration's user with every role
  make logs                   the end of the logs; SERVICE=flowapi for one
  make restart                restart all but the database; SERVICE=worker-1 for one
  make flowetl                a command of the loader; ARGS="status"
  make reports                make pages when their days have come; ARGS="list" for a command of reports
  make down                   stop it; the data stay
  make reset                  stop it and delete its data, keys and logs

Development
  make bootstrap              install what is missing, and nothing else
  make test-fast              the tests that need no database, for the inner loop; ARGS as for make test
  make coverage               the whole suite, with the share of lines that it runs and the least share allowed
  make check                  style, types, imports, lock, container files
  make docs                   build the documentation into site/
  make bench                  the benchmark questions; ARGS="--scale smoke" for a small country
  make containers             build the images, start the compose file, test it; needs Docker; ARGS="--short"
  make containers-down        remove what an interrupted `make containers` left
  make release                build the wheels and images of the commit's tag
  make mutants                change security-bearing code; tell what no test notices; ARGS="expiry" for some
  make soak                   kill and fuzz for MINUTES=30, run mutants, draw EXAMPLES=1000 worlds for each kind

Ports and sizes are settings: docs/operators/settings.md. README.md says what there is."""


class _Parser(argparse.ArgumentParser):
    """Print help in terms of make, which is how people call this program."""

    def format_help(self) -> str:
        return HELP + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="make")
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=argparse.ArgumentParser)
    for run in (
        *(
            demo,
            test,
            test_fast,
            coverage,
            mutants,
            soak,
            up,
            down,
            restart,
            status,
            logs,
            token,
            flowetl,
            reports,
            check,
            bench,
            docs,
            containers,
            containers_down,
            release,
            reset,
            doctor,
        ),
        bootstrap_only,
    ):
        command = commands.add_parser(run.__name__.removesuffix("_only").replace("_", "-"))
        command.set_defaults(run=run)
        if run in (restart, logs):
            command.add_argument("service", nargs="?")
        if run is containers:
            length = command.add_mutually_exclusive_group()
            length.add_argument("--short", action="store_true")
            length.add_argument("--long", action="store_true")
    return parser


def bootstrap_only(_options: argparse.Namespace) -> None:
    bootstrap()


def demo(_options: argparse.Namespace) -> int:
    # Check the settings before minutes of installing and loading.
    demo_size()
    bootstrap(echo=False, cluster=False)
    stack = Native(Layout.from_environment())
    stack.up()
    return _python("demo/run.py", environment={"PYTHONPATH": str(CHECKOUT / "tools")})


def test(options: argparse.Namespace) -> int:
    bootstrap(echo=False)
    # One worker more than the smallest supported machine's cores: some tests mostly wait for services. The tests of a
    # file stay together in fixed order, so that shared fixtures are made once.
    spread = [] if "-n" in options.arguments else ["-n", "3", "--dist", "loadfile"]
    with _tests_cluster():
        return _python("-m", "pytest", *spread, *options.arguments)


def test_fast(options: argparse.Namespace) -> int:
    """Run the quick tests of the inner loop, which need no database.

    The whole suite runs them, too.
    """
    bootstrap(echo=False)
    spread = [] if "-n" in options.arguments else ["-n", "2", "--dist", "loadfile"]
    quick = ["-m", "not database and not slow"]
    few = {"HYPOTHESIS_PROFILE": "quick"}
    return _python("-m", "pytest", *spread, *quick, *options.arguments, environment=few)


#: Lowest share of lines that the suite runs, in percent; docs/developers/testing.md tells what is measured.
COVERAGE_FLOOR = 95
#: From this Python on, lines are counted without a tracer, which costs next to nothing.
COUNTS_CHEAPLY = (3, 12)


def coverage(options: argparse.Namespace) -> int:
    """Run the test suite; fail if it runs too small a share of the lines."""
    options.arguments[:0] = ["--cov", "--cov-report=", f"--cov-fail-under={COVERAGE_FLOOR}"]
    if sys.version_info >= COUNTS_CHEAPLY:
        os.environ.setdefault("COVERAGE_CORE", "sysmon")
    return test(options)


def mutants(options: argparse.Namespace) -> int:
    """Change security-bearing modules one small way at a time; list unnoticed changes."""
    bootstrap(echo=False)
    with _tests_cluster():
        return _python("-m", "mutants", *options.arguments)


def soak(options: argparse.Namespace) -> int:
    """Run long randomised tests for the environment's minutes and examples.

    With arguments such as ``-k flows``, only random worlds are drawn.
    """
    bootstrap(echo=False)
    endless = ["--timeout", "0", "-o", "faulthandler_timeout=0"]
    campaign = [*endless, "flowmachine/tests/test_soak.py", "flowmachine/tests/test_fuzz.py"]
    campaign.append("flowetl/tests/test_killed_together.py")
    worlds = ["-n", "2", *endless, "-m", "hypothesis", "flowmachine/tests/kinds", *options.arguments]
    with _tests_cluster():
        killed = 0 if options.arguments else _python("-m", "pytest", *campaign)
        survived = 0 if options.arguments else _python("-m", "mutants")
        drawn = _python("-m", "pytest", *worlds, environment={"HYPOTHESIS_PROFILE": "soak"})
    return max(killed, survived, drawn)


@contextmanager
def _tests_cluster() -> Iterator[None]:
    """Stop the tests' database afterwards, unless it ran before.

    The first test that needs the database starts it.
    """
    state = Path(os.environ.get("FLOWKIT_TEST_CLUSTER") or CHECKOUT / ".flowkit" / "test")
    running_before = Cluster(state, 0).running()
    try:
        yield
    finally:
        if not running_before:
            Cluster(state, 0).stop()


def up(_options: argparse.Namespace) -> None:
    bootstrap(echo=False, cluster=False)
    stack = Native(Layout.from_environment())
    stack.up()
    _print_access(stack.layout)


def down(_options: argparse.Namespace) -> None:
    Native(Layout.from_environment()).down()
    print("The stack is stopped; its data stay.")


def restart(options: argparse.Namespace) -> None:
    Native(Layout.from_environment()).restart(options.service)


def status(_options: argparse.Namespace) -> int:
    return 0 if Native(Layout.from_environment()).status() else 1


def logs(options: argparse.Namespace) -> None:
    stack = Native(Layout.from_environment())
    if options.service:
        print(stack.log_tail(options.service, 200))
        return
    for path in sorted(stack.layout.logs.glob("*.log")):
        print(f"==> {path} <==\n{stack.log_tail(path.stem)}\n")


def token(_options: argparse.Namespace) -> None:
    print(Native(Layout.from_environment()).token())


def flowetl(options: argparse.Namespace) -> int:
    return _python("-m", "flowetl", *options.arguments, environment=Layout.from_environment().environment())


def reports(options: argparse.Namespace) -> int:
    """Make reports when they are due; with arguments, run a command for reports."""
    stack = Native(Layout.from_environment())
    if options.arguments:
        # Pages are the services', who write the next version.
        command = [str(PYTHON), "-m", "flowetl", "reports", *options.arguments]
        return subprocess.run(
            command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, **stack.layout.as_service()
        ).returncode
    bootstrap(echo=False, cluster=False)
    stack.serve_reports(CHECKOUT / "demo" / "reports")
    print(f"Definitions: {stack.layout.reports}. Pages: {stack.layout.pages}, within minutes.")
    return 0


def check(_options: argparse.Namespace) -> int:
    bootstrap(echo=False)
    import checks

    return checks.check()


def bench(options: argparse.Namespace) -> int:
    bootstrap(echo=False)
    if "--skip-published" not in options.arguments:
        install_for_benchmarks()
    return _python("-m", "benchmarks", *options.arguments)


def docs(_options: argparse.Namespace) -> int:
    bootstrap(echo=False)
    # The theme's authors use the build to advertise another product.
    code = _python("-m", "mkdocs", "build", "--strict", "--quiet", environment={"NO_MKDOCS_2_WARNING": "1"})
    if code == 0:
        print(f"{CHECKOUT / 'site' / 'index.html'} is the first page; nothing needs the network.")
    return code


def containers(options: argparse.Namespace) -> int:
    """Build the images, then start, test and take down the compose stack.

    With ``--short`` only confinement, a day's journey and the stop are tested, with ``--long`` every fault
    and an upgrade, too.
    Without an engine this fails, but on a machine of continuous integration it only says so.
    """
    bootstrap(echo=False)
    import images

    engine = images.find_engine()
    if engine is None:
        print(f"make containers: skipped: {images.what_is_missing()}", flush=True)
        return 0 if os.environ.get("CI") else 1
    if not os.environ.get("FLOWKIT_DEBIAN"):
        install_system_packages([] if shutil.which("mmdebstrap") else ["mmdebstrap"])
        os.environ["FLOWKIT_DEBIAN"] = images.make_debian(engine)
    images.build(engine, images.TAG)
    chosen = {"WITH_CONTAINERS": "long" if options.long else "1"}
    try:
        # The first test waits for the whole stack to start and load.
        patience = ("--timeout", "1800", "-o", "faulthandler_timeout=1860", "--durations", "0")
        folder = "integration_tests/containers"
        short = (f"{folder}/test_confinement.py", f"{folder}/test_journey.py")
        tests = short if options.short else (folder,)
        arguments = ("-n", "0", *patience, "--durations-min", "5", *tests, *options.arguments)
        return _python("-m", "pytest", *arguments, environment=chosen)
    finally:
        if not os.environ.get("CONTAINERS_KEEP"):
            containers_down(options)


def containers_down(_options: argparse.Namespace) -> None:
    """Remove what `make containers` left, as with CONTAINERS_KEEP=1."""
    import images

    if engine := images.find_engine():
        for project in images.TESTS_OWN:
            images.take_down(engine, project)


def release(_options: argparse.Namespace) -> None:
    bootstrap(echo=False)
    import release as building

    building.release()


def reset(_options: argparse.Namespace) -> None:
    layout = Layout.from_environment()
    Native(layout).reset()
    print(f"{layout.state} is empty.")


def doctor(_options: argparse.Namespace) -> int:
    import diagnosis

    return diagnosis.diagnose(Native(Layout.from_environment()))


def _python(*arguments: str, environment: dict[str, str] | None = None) -> int:
    base = {**os.environ, **(environment or {})}
    # Bootstrap installs uv into this folder where uv is missing; keep it last.
    base["PATH"] = os.pathsep.join([str(VENV / "bin"), base.get("PATH", os.defpath), str(TOOLS / "bin")])
    return subprocess.run(
        [str(PYTHON), *arguments], cwd=CHECKOUT, env=base, stdin=subprocess.DEVNULL
    ).returncode


def _print_access(layout: Layout) -> None:
    print(
        f"\nHTTP API     {layout.url('FLOWAPI_PORT')}/api/0/spec/redoc"
        f"\nTokens       {layout.url('FLOWAUTH_PORT')}  user TEST_USER, password DUMMY_PASSWORD"
        f"\nLoading      {layout.url('PREFECT_PORT')}  password: flowetl: and the text of {layout.prefect_password}"
        f"\nEverything   {layout.endpoints_file}"
        "\n`make token` prints a token; `make down` stops the stack."
    )


if __name__ == "__main__":
    sys.exit(main())
