"""One refresh per token, whoever asks, whoever leaves."""

from gateway.refresher.flights import Refresher, Ticket
from gateway.refresher.ports import Judge, RefreshSettings, Store, TokenEndpoint

__all__ = ["Judge", "RefreshSettings", "Refresher", "Store", "Ticket", "TokenEndpoint"]
