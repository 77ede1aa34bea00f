"""Client keys, their limits and budgets."""

from __future__ import annotations

from fusionfactory.gateway.access.access import Access
from fusionfactory.gateway.access.admission import Admission
from fusionfactory.gateway.access.client import ANYONE, Client
from fusionfactory.gateway.access.key import Key
from fusionfactory.gateway.access.keys import KeyFile
from fusionfactory.gateway.access.meters import Meters

__all__ = ["ANYONE", "Access", "Admission", "Client", "Key", "KeyFile", "Meters"]
