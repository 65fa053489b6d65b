"""Several processes of one program behind one address."""

from gateway.workers.line import INSIST, READY, STOP, Line
from gateway.workers.supervisor import Supervisor

__all__ = ["INSIST", "READY", "STOP", "Line", "Supervisor"]
