"""What a socket knows of its subscriptions stays bounded, whatever ids its peer makes up."""

from __future__ import annotations

from kalshi_daemon import limits
from kalshi_daemon.shell.feeds import BOOKS
from kalshi_daemon.shell.subscriptions import Subscriptions


def test_made_up_ids_push_out_each_other_and_none_of_ours() -> None:
    """A thousand of them: ours counts on where it was, and one that was forgotten is a gap when it comes again."""
    known = Subscriptions({BOOKS: 2, "fill": 3})
    assert [known.count(sid, 1) for sid in (2, 3)] == [1, 1]
    for sid in range(1_000, 2_000):
        assert known.count(sid, 1) == 1
    assert len(known._highest) == limits.SUBSCRIPTIONS_COUNTED_MAX
    assert [known.count(sid, 2) for sid in (2, 3, 1_999, 1_000)] == [1, 1, 1, 2]


def test_books_that_speak_before_their_acknowledgement_are_counted_on() -> None:
    """The subscription is ours already, though it has no name yet."""
    known = Subscriptions()
    assert known.speaks_of_books(7)
    for sid in (7, *range(100)):
        known.count(sid, 1)
    assert known.count(7, 2) == 1
