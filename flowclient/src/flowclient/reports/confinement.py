"""Confine this process and what it starts to some folders and one server.

Linux does so for any user by Landlock (version 5.13, of connections 6.7). Its three system calls have the same numbers
on all processors.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_NO_NEW_PRIVILEGES = 38
#: Rights to files in the order of their bits, and the version of Landlock that knows as many of them.
_ALL_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
_EXECUTE, _WRITE, _READ, _LIST = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_OF_FILES = _EXECUTE | _WRITE | _READ | 1 << 14
_BIND_AND_CONNECT, _CONNECT = 0b11, 0b10
#: Abstract sockets and signals to processes outside.
_SCOPES = 0b11


class NotConfinedError(RuntimeError):
    """Report that this system cannot confine a process."""


def confine(*, read: Iterable[Path], write: Iterable[Path], port: int) -> None:
    """Leave these files and folders, and connections to one port.

    Processes outside cannot be looked into any more. What is open stays open. Paths that do not exist are left out.

    Raises
    ------
    NotConfinedError
        If the system has no Landlock, or refuses it.
    """
    library = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *arguments: object) -> int:
        done = int(library.syscall(number, *arguments))
        if done < 0:
            raise NotConfinedError(f"Landlock: {os.strerror(ctypes.get_errno())}")
        return done

    version = call(_CREATE, None, 0, 1)
    rights = (1 << max(bits for since, bits in _ALL_RIGHTS.items() if since <= version)) - 1
    network, scopes = (_BIND_AND_CONNECT if version >= 4 else 0), (_SCOPES if version >= 6 else 0)
    # An older version knows the first fields only.
    handled = struct.pack("QQQ", rights, network, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = call(_CREATE, handled, len(handled), 0)
    try:
        for allowed, paths in ((_EXECUTE | _READ | _LIST, read), (rights, write)):
            for path in paths:
                if path.exists():
                    _allow(call, rules, path, allowed & rights)
        if network:
            call(_ADD, rules, 2, struct.pack("QQ", _CONNECT, port), 0)
        library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        call(_RESTRICT, rules, 0)
    finally:
        os.close(rules)


def _allow(call: Callable[..., int], rules: int, path: Path, allowed: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", allowed if path.is_dir() else allowed & _OF_FILES, opened)
        call(_ADD, rules, 1, rule, 0)
    finally:
        os.close(opened)
