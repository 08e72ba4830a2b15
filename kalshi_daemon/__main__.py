"""`python -m kalshi_daemon` is the command line."""

from __future__ import annotations

import sys

from kalshi_daemon.cli import main

if __name__ == "__main__":
    sys.exit(main())
