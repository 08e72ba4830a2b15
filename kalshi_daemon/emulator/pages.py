"""Lists in pages. A cursor is opaque: base64 of where the last item stood, so that items added meanwhile move nothing.

Rules, the exchange's own (api.md 4.6): the last page's cursor is empty, and a cursor that does not read means the
first page.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def page(rows: Iterable[tuple[int, Item]], cursor: str, size: int) -> tuple[list[Item], str]:
    """At most `size` items after the cursor, and the next cursor. `rows` are (place, item), places ascending."""
    after = _place(cursor)
    found = list(islice((row for row in rows if after is None or row[0] > after), size + 1))
    shown = found[:size]
    return [item for _place_of, item in shown], _cursor(shown[-1][0]) if len(found) > size else ""


def newest_first(oldest_first: Sequence[Item]) -> Iterator[tuple[int, Item]]:
    """Rows of a list that grows at its end, the last item first: places count up from the most negative."""
    return zip(range(1 - len(oldest_first), 1), reversed(oldest_first), strict=True)


def _cursor(place: int) -> str:
    return urlsafe_b64encode(b"p%d" % place).decode().rstrip("=")


def _place(cursor: str) -> int | None:
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return int(raw[1:]) if raw.startswith(b"p") else None
    except ValueError:
        return None
