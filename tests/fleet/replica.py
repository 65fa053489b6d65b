"""``gateway`` with a shorter lease, which no key of the file sets: ``python -m tests.fleet.replica SECONDS run …``."""

import sys
from dataclasses import replace

from gateway import settings
from gateway.cli import main

if __name__ == "__main__":
    lease = float(sys.argv.pop(1))
    shipped = settings.refreshing
    settings.refreshing = lambda config: replace(shipped(config), lease=lease)  # type: ignore[assignment]
    main()
