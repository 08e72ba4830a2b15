"""The golden vectors: what was told, and the bytes that a model was handed for it, for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden_vectors import VECTORS, in_hex, look_of, text_of

from kalshi_daemon.policy.observation_adapter import observe


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vector(path: Path) -> None:
    """The implementation that trades gives these bits, and so does the literal one."""
    vector = json.loads(path.read_text())
    look = look_of(vector)
    market, account = look.inputs()
    assert in_hex(observe([market], account, look.now_ms)[0].tolist()) == vector["observation"]
    assert in_hex(look.reference()) == vector["observation"]
    assert text_of(vector) == path.read_text()


def test_the_vectors_are_of_every_kind() -> None:
    """Sub-cent prices, fractional counts, sides missing, a NO position, no worth, full and short windows."""
    looks = [look_of(json.loads(path.read_text())) for path in VECTORS]
    assert len(looks) >= 20
    markets = [look.inputs() for look in looks]
    books = [market.book for market, _ in markets]
    assert any(price % 100 for book in books for price in book.yes.prices)
    assert any(count % 100 for book in books for count in book.yes.counts.values())
    assert {(bool(book.yes.prices), bool(book.no.prices)) for book in books} == {
        (yes, no) for yes in (True, False) for no in (True, False)
    }
    assert {(market.position > 0) - (market.position < 0) for market, _ in markets} == {-1, 0, 1}
    assert {(account.portfolio_value > 0) - (account.portfolio_value < 0) for _, account in markets} == {-1, 0, 1}
    assert {0, 1, 9} <= {len(market.history.closed_ms) for market, _ in markets}
    assert any(book.crossed for book in books)
