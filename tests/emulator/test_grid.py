"""Price grids: every structure of the exchange, and which prices each takes."""

from __future__ import annotations

import pytest
import yaml  # type: ignore[import-untyped]
from emulator_world import specification

from kalshi_daemon.emulator.grid import STRUCTURES, on_grid
from kalshi_daemon.units import PRICE_ONE

UNKNOWN = {"", "banded_centi_cent"}  # the exchange names them and publishes no steps


def test_every_structure_of_the_exchange_is_known() -> None:
    """The labels are those of the specification, but for two whose steps nobody has seen."""
    schemas = yaml.load(specification("asyncapi.yaml"), Loader=yaml.CSafeLoader)["components"]["schemas"]
    assert set(STRUCTURES) | UNKNOWN == set(schemas["lifecyclePriceLevelStructure"]["enum"])


@pytest.mark.parametrize("label", sorted(STRUCTURES))
def test_a_grid_is_whole_and_the_same_on_both_legs(label: str) -> None:
    """Its ranges join from 0 to 1 and hold whole numbers of steps; a YES price is on it when its NO price is."""
    ranges = STRUCTURES[label]
    assert (ranges[0].start, ranges[-1].end) == (0, PRICE_ONE)
    assert [piece.end for piece in ranges[:-1]] == [piece.start for piece in ranges[1:]]
    assert all((piece.end - piece.start) % piece.step == 0 for piece in ranges)
    valid = [price for price in range(PRICE_ONE + 1) if on_grid(price, ranges)]
    assert valid == sorted(PRICE_ONE - price for price in valid)
    assert set(range(100, PRICE_ONE, 100)) <= set(valid)


@pytest.mark.parametrize(
    ("label", "valid", "invalid"),
    [
        ("center_whole_edge_half_cent", (50, 950, 1_000, 1_100, 9_050), (1_050, 8_950, 25)),
        ("center_half_edge_deci_cent", (10, 990, 1_050, 9_010), (1_010, 8_990, 5)),
        ("center_quint_edge_quint_cent", (20, 1_020, 9_980), (10, 1_010)),
        ("center_deci_edge_centi_cent", (1, 99, 110, 9_901), (101, 9_899)),
    ],
)
def test_centre_and_edges_have_their_steps(label: str, valid: tuple[int, ...], invalid: tuple[int, ...]) -> None:
    """A tenth at each end is finer, at centi-cents a hundredth; a price between two steps is none."""
    assert [on_grid(price, STRUCTURES[label]) for price in valid] == [True] * len(valid)
    assert [on_grid(price, STRUCTURES[label]) for price in invalid] == [False] * len(invalid)
