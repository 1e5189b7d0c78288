"""Where candidates are evaluated: in this process, in several of this machine, on a Ray cluster."""

from metanet.searchers.executors.in_process import InProcess
from metanet.searchers.executors.processes import LocalProcesses
from metanet.searchers.executors.protocol import Executor, Outcome, attempt, judged
from metanet.searchers.executors.ray import RayTasks

__all__ = ["Executor", "InProcess", "LocalProcesses", "Outcome", "RayTasks", "attempt", "judged"]
