"""The text under a signature."""

from __future__ import annotations

import pytest

from kalshi_daemon.wire.signing import string_to_sign


def test_time_method_and_path_with_nothing_between():
    """As the exchange documents it: milliseconds, upper-case method, full path."""
    assert string_to_sign(1781159348379, "GET", "/trade-api/v2/portfolio/balance") == (
        "1781159348379GET/trade-api/v2/portfolio/balance"
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/trade-api/v2/markets"),
        ("GET", "/portfolio/balance"),
        ("GET", "https://host/trade-api/v2/markets"),
        ("GET", "/trade-api/v2/markets?limit=1"),
        ("GET", "/trade-api/v2/markets/"),
    ],
)
def test_what_would_not_verify_is_our_mistake(method, path):
    """Queries, hosts, half paths and trailing slashes would all be refused as a bad signature."""
    with pytest.raises(AssertionError):
        string_to_sign(1, method, path)
