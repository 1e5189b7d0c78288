"""What a worker process does: evaluates what comes through its pipe, one after the other, until the pipe is closed."""

import os
import sys
import threading
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import cloudpickle

from metanet.searchers.executors.protocol import Outcome, attempt, reason_of

# A worker imports what its driver could import, but never the driver's main module: its functions come by value.
BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {} import serve; serve(*map(int, sys.argv[2:]))"
COMMAND = BOOT.format(__name__)
BEGUN = "begun"


def serve(handle: int, evaluator: int) -> None:
    """Evaluates for the driver at the other end of a pipe.

    Each message is a pickled item; back goes BEGUN and then its pickled Outcome. When the driver is gone, the process
    ends at once, in the middle of an evaluation, too.

    handle     the file descriptor of the pipe
    evaluator  the file descriptor of a file that holds the pickled evaluator; others may read it at the same time
    """
    pipe, inbox = Connection(handle), SimpleQueue[bytes]()
    threading.Thread(target=_receive, args=(pipe, inbox), daemon=True).start()
    evaluate = readable(_content(evaluator))
    while True:
        item = cloudpickle.loads(inbox.get())
        pipe.send(BEGUN)
        pipe.send_bytes(sendable(attempt(evaluate, item)))


def _receive(pipe: Connection, inbox: "SimpleQueue[bytes]") -> None:
    try:
        while True:
            inbox.put(pipe.recv_bytes())
    except (EOFError, OSError):
        sys.stderr.flush()
        os._exit(0)  # the main thread may be deep inside a library


def _content(handle: int) -> bytearray:
    size, content = os.fstat(handle).st_size, bytearray()
    while len(content) < size:  # one read gives 2 GiB at the most
        content += os.pread(handle, size - len(content), len(content))
    os.close(handle)
    return content


def readable(content: bytes | bytearray) -> Any:
    """The evaluator, or one that says why it cannot be read here."""
    try:
        return cloudpickle.loads(content)
    except Exception as error:
        reason = f"the evaluator cannot be read in a worker process ({reason_of(error)})"

        def unreadable(item: Any) -> Any:
            raise RuntimeError(reason)

        return unreadable


def sendable(outcome: Outcome[Any]) -> bytes:
    """A pickled outcome; where what the evaluator returned cannot be sent, that becomes the reason."""
    try:
        return bytes(cloudpickle.dumps(outcome))
    except Exception as error:
        reason = f"what the evaluator returned cannot be sent back ({reason_of(error)})"
        return bytes(cloudpickle.dumps(Outcome(outcome.spec, None, outcome.seconds, reason)))
