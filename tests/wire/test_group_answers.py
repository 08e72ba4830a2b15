"""Order groups on the wire: what is asked, and what the answers say."""

from __future__ import annotations

import json

import pytest

from kalshi_daemon.errors import WireError
from kalshi_daemon.wire.order_groups import (
    GroupRead,
    encode_group,
    encode_limit,
    read_done,
    read_groups,
    read_made,
)


def test_limits_go_as_texts():
    assert json.loads(encode_group(7_500, 2)) == {"contracts_limit_fp": "75.00", "exchange_index": 2}
    assert json.loads(encode_limit(150)) == {"contracts_limit_fp": "1.50"}


def test_the_list_is_absent_where_there_is_none():
    """As it was recorded; otherwise each has its limit and its shard."""
    assert read_groups(b"{}") == {}
    group = {"id": "g-1", "contracts_limit_fp": "75.00", "is_auto_cancel_enabled": True, "exchange_index": 1}
    assert read_groups(json.dumps({"order_groups": [group]}).encode()) == {"g-1": GroupRead("g-1", 1, 7_500)}


def test_a_group_that_was_made_has_an_id():
    assert read_made(b'{"order_group_id": "g-1", "subaccount": 0, "exchange_index": 2}') == "g-1"
    read_done(b"{}")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"order_group_id": ""}', b'{"id": "g-1"}'])
def test_what_cannot_be_read_made_nothing(body):
    with pytest.raises(WireError):
        read_made(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"done", b'{"order_groups": [{"id": "g-1"}]}'])
def test_a_list_that_cannot_be_read_is_no_list(body):
    with pytest.raises(WireError):
        read_groups(body)
