"""One refresh per token, whoever asks, whoever leaves."""

from gateway.refresher.flights import Ticket
from gateway.refresher.ports import Judge, Leases, Records, RefreshSettings, Store, TokenEndpoint
from gateway.refresher.refresher import Refresher

__all__ = ["Judge", "Leases", "Records", "RefreshSettings", "Refresher", "Store", "Ticket", "TokenEndpoint"]
