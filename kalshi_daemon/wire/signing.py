"""The text that a request's signature covers (api.md 1).

Rules: time stamp in milliseconds, method, full path, with nothing between them. The path carries the `/trade-api/`
prefix; host, query and body are not part of it. A signature is good for any body, so signed headers are secrets: never
logged, never kept.
"""

from __future__ import annotations

from typing import Final

from kalshi_daemon.hosts import PATH_PREFIX
from kalshi_daemon.units import Milliseconds

KEY_HEADER: Final = "KALSHI-ACCESS-KEY"
TIMESTAMP_HEADER: Final = "KALSHI-ACCESS-TIMESTAMP"
SIGNATURE_HEADER: Final = "KALSHI-ACCESS-SIGNATURE"


def string_to_sign(ts_ms: Milliseconds, method: str, path: str) -> str:
    """`1781159348379GET/trade-api/v2/portfolio/balance`"""
    assert method.isupper(), method
    assert path.startswith(PATH_PREFIX), f"{path} is not a full path"
    assert not path.endswith("/"), f"{path} is answered with a redirect"
    assert "?" not in path, f"{path} carries a query"
    return f"{ts_ms}{method}{path}"
