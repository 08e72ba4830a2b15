"""A batch: always finite, bounded, in order, mirrored, in two steps."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from policy_inputs import EMPTY_ACCOUNT, books, golden_market, market_of

from kalshi_daemon.core.book import OrderBook
from kalshi_daemon.policy.features import FEATURES, account_features, book_features
from kalshi_daemon.policy.inputs import AccountInput, HeldPosition, MarketInput, OpenOrder
from kalshi_daemon.policy.observation_adapter import bounded, observe, observe_raw
from kalshi_daemon.training.samples import batches_of
from kalshi_daemon.units import PRICE_ONE, BookSide

ROW = {name: index for index, name in enumerate(FEATURES)}
MONEY = st.integers(-(10**12), 10**12)


def observed(market: MarketInput, account: AccountInput = EMPTY_ACCOUNT) -> dict[str, float]:
    row = observe([market], account, market.history.now_ms)[0]
    return dict(zip(FEATURES, row.tolist(), strict=True))


@given(
    book=books(),
    last_trade=st.none() | st.integers(1, 9_999),
    position=st.integers(-(10**7), 10**7),
    cost=st.integers(0, 10**12),
    orders=st.lists(
        st.builds(OpenOrder, st.sampled_from(BookSide), st.integers(1, 9_999), MONEY, st.none()), max_size=3
    ),
    available=MONEY,
    worth=MONEY,
    values=st.lists(st.tuples(st.integers(1, 10**8), st.integers(0, 10**11), st.booleans()), max_size=4),
)
def test_finite_and_bounded(
    book: OrderBook,
    last_trade: int | None,
    position: int,
    cost: int,
    orders: list[OpenOrder],
    available: int,
    worth: int,
    values: list[tuple[int, int, bool]],
) -> None:
    """Whatever the books and the account, 52 finite numbers within two, most within one."""
    market = market_of(book, last_trade=last_trade, position=position, cost=cost, orders=tuple(orders))
    held = tuple(HeldPosition("N", count if long else -count, value, value) for count, value, long in values)
    rows = observe([market], AccountInput(available, worth, held), 0)
    assert rows.shape == (1, 52)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    wide = {"last_trade_offset", "yes_spread_pct", "no_spread_pct", "yes_breakeven_move", "no_breakeven_move"}
    for name, value in zip(FEATURES, rows[0].tolist(), strict=True):
        assert abs(value) <= (2 if name in wide else 1), name


@given(books())
def test_no_rows_mirror_yes_rows(book: OrderBook) -> None:
    """There is one book: each NO row says what its YES row does."""
    row = observed(market_of(book))
    yes, no = book.yes.prices, book.no.prices
    near = {"rel": 1e-6, "abs": 1e-6}
    assert np.isclose(row["best_no_bid"], 1 - row["best_yes_ask"] if no else 0.5, near["rel"], near["abs"])
    assert np.isclose(row["best_no_ask"], 1 - row["best_yes_bid"] if yes else 0.5, near["rel"], near["abs"])
    assert np.isclose(row["no_mid"], 1 - row["yes_mid"], near["rel"], near["abs"])
    assert np.isclose(row["no_microprice"], 1 - row["yes_microprice"], near["rel"], near["abs"])
    assert row["no_side_imbalance"] == -row["yes_side_imbalance"]
    for name in ("spread", "spread_regime", "breakeven_move", "depth"):
        assert row[f"no_{name}"] == row[f"yes_{name}"]


@given(books())
def test_swapped_legs(book: OrderBook) -> None:
    """A book with its legs swapped shows each side's row in the other's place."""
    swapped = OrderBook("M")
    swapped.replace(book.no.levels(), book.yes.levels(), clock=None, ts_ms=None)
    row, other = observed(market_of(book)), observed(market_of(swapped))
    for name in ("mid", "spread", "spread_pct", "spread_regime", "breakeven_move", "microprice", "depth"):
        assert np.isclose(row[f"yes_{name}"], other[f"no_{name}"], 1e-6, 1e-6), name
    assert row["best_yes_bid"] == other["best_no_bid"]
    assert row["best_yes_ask"] == other["best_no_ask"]
    assert row["yes_concentration"] == other["no_concentration"]
    assert row["volume_imbalance"] == -other["volume_imbalance"]
    assert np.isclose(row["bid_ask_depth_ratio"], -other["bid_ask_depth_ratio"], 1e-6, 1e-6)


def test_last_step() -> None:
    """What is no number is 0, an infinity 1 of its sign, everything else is clipped to two."""
    rows = np.array([[np.nan, np.inf, -np.inf, 2.5, -2.5, 0.25]])
    assert bounded(rows).tolist() == [[0.0, 1.0, -1.0, 2.0, -2.0, 0.25]]


def test_two_steps() -> None:
    """What the formulas give can be looked at before it is rounded and clipped; both steps together are `observe`."""
    for markets, account, now_ms in batches_of(Random(4), 9):
        raw = observe_raw(markets, account, now_ms)
        assert (raw.dtype, raw.shape) == (np.float64, (len(markets), 52))
        assert bounded(raw).tobytes() == observe(markets, account, now_ms).tobytes()
    assert observe_raw([golden_market()], EMPTY_ACCOUNT, 0)[0][ROW["yes_spread_pct"]] == 2 / 46


def test_no_markets() -> None:
    """A batch of nothing has no rows."""
    assert observe([], EMPTY_ACCOUNT, 0).shape == (0, 52)


def test_rows_are_the_features() -> None:
    """The columns are the features in their order, clipped and as float32."""
    market = golden_market(last_trade=9_999)
    row = observe([market], EMPTY_ACCOUNT, 0)[0]
    assert row[:36].tobytes() == np.array(book_features(market), dtype=np.float32).clip(-2, 2).tobytes()
    assert row[36:].tolist() == account_features(EMPTY_ACCOUNT)
    assert row[ROW["last_trade_offset"]] == 2.0


def test_crossed_book_is_observed() -> None:
    """A crossed book is masked, not observed away: its rows are finite too."""
    book = OrderBook("M")
    book.replace([(6_000, 100)], [(6_000, 100)], clock=None, ts_ms=None)
    row = observed(market_of(book))
    assert row["yes_spread"] == np.float32(-0.2)
    assert row["best_yes_ask"] == np.float32((PRICE_ONE - 6_000) / PRICE_ONE)
