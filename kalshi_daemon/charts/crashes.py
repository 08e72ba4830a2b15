"""What an exception group says, in one line."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import PurePath


def leaves_of_group(error: BaseException) -> Iterator[BaseException]:
    """The exceptions inside, groups in groups undone; the exception itself where it is no group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves_of_group(inner)
    else:
        yield error


def innermost_line(error: BaseException) -> str:
    """`ValueError: no such book (book.py:41)`, several joined by `and`; never more than the first line of each."""
    return " and ".join(_line(leaf) for leaf in leaves_of_group(error))


def _line(error: BaseException) -> str:
    said = str(error).splitlines()
    text = type(error).__name__ + (f": {said[0]}" if said else "")
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({PurePath(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text
