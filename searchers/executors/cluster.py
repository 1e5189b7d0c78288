"""The connection to a Ray cluster."""

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from metanet.errors import MetanetError
from metanet.searchers.executors.protocol import reason_of

LOCAL = "local"
ANSWER = 10.0  # seconds that a cluster has to answer


@contextmanager
def connected(address: str | None, cpus: int | None) -> Iterator[Any]:
    """Ray, connected to a cluster for the length of a `with` block, or for longer where it was connected before.

    address  as of RayTasks
    cpus     of a cluster that is started here; None: as many as the machine has

    Raises MetanetError where Ray is not installed or no cluster answers.
    """
    ray = imported()
    if ray.is_initialized():
        yield ray
        return
    if address is None or address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address or LOCAL
    handler = signal.getsignal(signal.SIGTERM)
    with _hushed(ray):
        try:
            _connect(ray, address, cpus)
            # Ray has set a handler that prints a crash report.
            _on_terminate(_exit if handler is signal.SIG_DFL else handler)
            yield ray
        finally:
            ray.shutdown()
            _on_terminate(handler)


def imported() -> Any:
    """Ray. Raises MetanetError where it is not installed."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MetanetError(
            f"evaluations on Ray need the package {error.name!r}: pip install 'metanet-nas[ray]', "
            "or evaluate in local processes"
        ) from None
    return ray


def _connect(ray: Any, address: str, cpus: int | None) -> None:
    if address.startswith("ray://"):
        raise MetanetError(
            f"an evaluation cannot be followed by Ray Client, got the address {address!r}: "
            "search on a machine of the cluster, with the address HOST:PORT or 'auto'"
        )
    started = {"include_dashboard": False, "num_cpus": cpus} if address == LOCAL else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL, **started)
    except (OSError, RuntimeError, ValueError) as error:
        raise MetanetError(
            f"no Ray cluster can be joined at the address {address!r} ({reason_of(error).splitlines()[0]}): start one "
            "by `ray start --head`, or give no address for one that lasts as long as the search"
        ) from None


def _knock(address: str) -> None:
    """Raises OSError where nothing answers at HOST:PORT; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER).close()


@contextmanager
def _hushed(ray: Any) -> Iterator[None]:
    """Without what Ray prints on workers that die: reasons tell it, and no option of Ray turns it off."""
    printing = ray._private.worker
    shown = getattr(printing, "_worker_logs_enabled", True)
    printing._worker_logs_enabled = False
    try:
        yield
    finally:
        printing._worker_logs_enabled = shown


def _on_terminate(handler: Any) -> None:
    """Sets what SIGTERM does, where Python can set it."""
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _exit(number: int, frame: Any) -> None:
    sys.exit(128 + number)  # with everything that is to be done at an exit
