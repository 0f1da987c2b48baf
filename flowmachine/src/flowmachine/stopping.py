"""Stop a process within ten seconds of SIGTERM, whatever its threads do."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

from flowmachine.logs import debug_log

#: Seconds after the signal in which the work may come to an end by itself, and then for giving it back.
STOPPING_SECONDS = 6.0
GIVING_BACK_SECONDS = 2.0


def on_signal(stop: Callable[[], None], interrupt: Callable[[], None], give_up: Callable[[], None]) -> None:
    """Call ``stop`` on SIGTERM or SIGINT, then ``interrupt`` until the process ends.

    ``give_up`` is called if it does not end in time, and then the process ends by force.

    Python runs signal handlers only in the main thread, which may sit in the database driver until a long
    statement ends. So a separate thread reads the signal's number from a socket, which is written the moment
    the signal arrives.
    """
    receiving, sending = socket.socketpair()
    sending.setblocking(False)
    # Detached, because it has to stay open as long as the process.
    signal.set_wakeup_fd(sending.detach())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        receiving.recv(1)
        # Armed first, because interrupting asks a database that may not answer.
        leave_soon(give_up)
        stop()
        while True:
            # Between two statements there is nothing to interrupt, and the next statement would run to its end.
            time.sleep(0.2)
            interrupt()

    threading.Thread(target=wait, daemon=True).start()


def leave_soon(give_up: Callable[[], None]) -> None:
    """End the process after a while, whatever its other threads do; return at once.

    Neither building nor planning a long statement can be interrupted.
    """

    def leave() -> None:
        time.sleep(STOPPING_SECONDS)
        giving_up = threading.Thread(target=give_up, daemon=True)
        giving_up.start()
        giving_up.join(GIVING_BACK_SECONDS)
        debug_log().warning("stopped in the middle of its work", submodule="stopping", pid=os.getpid())
        os._exit(0)

    threading.Thread(target=leave, daemon=True).start()
