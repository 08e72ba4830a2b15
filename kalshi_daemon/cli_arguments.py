"""Readers of what stands behind an option, for argparse: each says in one line what it would have taken."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from kalshi_daemon.config_values import amount
from kalshi_daemon.units import DOLLAR, Money, dollars

PORT_MAX: Final = 65_535
SEED_MAX: Final = 2**32 - 1
DIGITS_MAX: Final = 18  # of any whole number among the arguments
SHOWN: Final = 40  # characters of an argument that is repeated


def number(most: float) -> Callable[[str], float]:
    """A reader of a number above zero, for argparse."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if 0 < float(text) <= most:
                return float(text)
        raise argparse.ArgumentTypeError(f"{text[:SHOWN]} is not a number above 0 and up to {most:g}")

    return read


def _is_whole(text: str) -> bool:
    """Of no more digits than any number that is allowed here has."""
    return text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX


def seed(text: str) -> int:
    if not (_is_whole(text) and int(text) <= SEED_MAX):
        raise argparse.ArgumentTypeError(f"{text[:SHOWN]} is not a seed: a whole number from 0 to {SEED_MAX}")
    return int(text)


def port(text: str) -> int:
    if not (_is_whole(text) and int(text) <= PORT_MAX):
        raise argparse.ArgumentTypeError(f"{text[:SHOWN]} is not a port: 0 to {PORT_MAX}")
    return int(text)


def cash(most: Money) -> Callable[[str], Money]:
    """A reader of dollars, from one on."""

    def read(text: str) -> Money:
        with suppress(ValueError):
            return amount(DOLLAR, DOLLAR, most)(text)
        raise argparse.ArgumentTypeError(f"{text[:SHOWN]} is not an amount from 1 to {dollars(most)}")

    return read
