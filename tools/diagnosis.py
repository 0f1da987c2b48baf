"""Run `make doctor`: list each problem of this machine with its cure.

Standard library only.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess

from bootstrap import find_python, find_uv, missing_system_packages, synchronised
from cluster import port_is_free
from layout import CHECKOUT, PYTHON, StackError
from native import Native

MEMORY_NEEDED = 4.0
DISK_NEEDED = 10.0
USER_CURE = "`make up` makes a user, and needs a checkout that others can enter; FLOWKIT_USER=root keeps root"

# Of days that are not loaded, by state.
_CURES = {
    "failed": 'remove the cause, then `make flowetl ARGS="run --source NAME --date DAY"`',
    "held": 'once the day is right as it is: `make flowetl ARGS="accept --source NAME --date DAY --reason TEXT"`',
    "missing": 'deliver the file, or `make flowetl ARGS="absent --cdr-type TYPE --date DAY --reason TEXT"`',
}
_DAYS_TOLD = 3


def diagnose(stack: Native) -> int:
    """Print the findings; return 0 when there are none."""
    findings = []
    try:
        print(f"python       {find_python()}")
    except StackError as error:
        findings.append(str(error))
    print(f"uv           {find_uv() or 'none yet; `make bootstrap` installs it'}")
    missing = missing_system_packages()
    if missing:
        findings.append(f"missing packages: {' '.join(missing)}; `make bootstrap` installs them or says how")
    if not synchronised(cluster=False):
        findings.append("the Python environment is not the locked one; `make bootstrap` makes it")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    existing = next(folder for folder in (stack.layout.state, *stack.layout.state.parents) if folder.exists())
    disk = shutil.disk_usage(existing).free / 2**30
    print(f"memory       {memory:.1f} GB\ndisk         {disk:.1f} GB free for {stack.layout.state}")
    if memory < MEMORY_NEEDED:
        findings.append(f"{memory:.1f} GB of memory; {MEMORY_NEEDED:.0f} GB are needed")
    if disk < DISK_NEEDED:
        findings.append(
            f"{disk:.1f} GB of disk; {DISK_NEEDED:.0f} GB are needed (FLOWKIT_STATE moves the state)"
        )
    for path in stack.layout.open_to_others():
        findings.append(f"other users of this machine can use {path}; `chmod go= {path}`")
    chosen = stack.layout.runs_as
    print(f"services as  {chosen.account.name if chosen.account else pwd.getpwuid(os.geteuid()).pw_name}")
    if chosen.reason is not None:
        findings.append(f"services run as root, because {chosen.reason}; {USER_CURE}")
    for path in stack.layout.belonging_to_root():
        findings.append(f"the services cannot use {path}; `make up` gives it to their user")
    if stack.supervisor():
        for name, reason in stack.ill().items():
            findings.append(f"{name} {reason}; `make logs SERVICE={name}` shows its log")
        findings += _of_the_loading(stack)
    else:
        print("stack        not running")
        for name, port in stack.layout.ports.items():
            if not port_is_free(port):
                findings.append(f"port {port} is taken; set {name} to a free one")
    for finding in findings:
        print(f"FINDING      {finding}")
    if not findings:
        print("No problem found.")
    return 1 if findings else 0


def _of_the_loading(stack: Native) -> list[str]:
    """Return the days that are not loaded, and paused schedules, with their cures."""
    command = [str(PYTHON), "-m", "flowetl", "status", "--json"]
    environment = {**os.environ, **stack.layout.environment()}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        return [f"the state of the loading is unknown: {done.stderr.strip()[-300:]}"]
    found = []
    for entry in json.loads(done.stdout):
        days = [day for day in entry["calendar"] if day["state"] in _CURES]
        found += [
            f"{day['source']} {day['date']} {day['state']}: {day['reason']}; {_CURES[day['state']]}"
            for day in days[-_DAYS_TOLD:]
        ]
        found += [
            f"{name}: its schedule is paused, so no night loads it; resume it on Prefect's page of deployments"
            for name in entry["paused"]
        ]
    return found
