"""Signatures, the clock window and the recorded refusals."""

from __future__ import annotations

import random
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from emulator_world import recording, world
from trio.testing import MockClock

from kalshi_daemon.emulator.auth import AGE_MAX_MS, AHEAD_MAX_MS, KeyPair, authenticate, make_key
from kalshi_daemon.emulator.bodies import error_body
from kalshi_daemon.emulator.refusals import Refused

NOW_MS = 1_800_000_000_000
PATH = "/trade-api/v2/portfolio/balance"
RSA = make_key(random.Random(1), kind="rsa")
ED25519 = make_key(random.Random(2))
KEYS = {RSA.key_id: RSA.public, ED25519.key_id: ED25519.public}


def sign(key: KeyPair, text: str, *, salt: int = 32) -> str:
    private = load_pem_private_key(key.private_pem, None)
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return b64encode(private.sign(text.encode())).decode()
    assert isinstance(private, rsa.RSAPrivateKey)
    scheme = padding.PSS(padding.MGF1(hashes.SHA256()), salt)
    return b64encode(private.sign(text.encode(), scheme, hashes.SHA256())).decode()


def headers(key: KeyPair, stamp: int, signature: str | None = None) -> dict[str, str]:
    return {
        "kalshi-access-key": key.key_id,
        "kalshi-access-timestamp": str(stamp),
        "kalshi-access-signature": sign(key, f"{stamp}GET{PATH}") if signature is None else signature,
    }


def refused(sent: dict[str, str]) -> dict[str, object]:
    """The 401 body that these headers get."""
    with pytest.raises(Refused) as caught:
        authenticate(sent, "GET", PATH, KEYS, NOW_MS)
    assert caught.value.status == 401
    return error_body(caught.value)


@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
def test_a_good_signature_names_its_key(key: KeyPair) -> None:
    """Both algorithms verify over timestamp, method and path."""
    assert authenticate(headers(key, NOW_MS), "GET", PATH, KEYS, NOW_MS) == key.key_id


@pytest.mark.parametrize("key", [RSA, ED25519], ids=["rsa", "ed25519"])
@pytest.mark.parametrize(("method", "path"), [("POST", PATH), ("GET", PATH + "x"), ("GET", "/portfolio/balance")])
def test_a_signature_covers_method_and_path(key: KeyPair, method: str, path: str) -> None:
    """Signed for something else, it is no signature."""
    with pytest.raises(Refused, match="INCORRECT_API_KEY_SIGNATURE"):
        authenticate(headers(key, NOW_MS), method, path, KEYS, NOW_MS)


def test_a_salt_of_another_length_is_refused() -> None:
    """RSA-PSS is taken with the digest's length of salt, and with no other."""
    signature = sign(RSA, f"{NOW_MS}GET{PATH}", salt=20)
    assert refused(headers(RSA, NOW_MS, signature)) == recording("auth__bad_signature")


@pytest.mark.parametrize("late_ms", [-AGE_MAX_MS, -5_000, 5_000, AHEAD_MAX_MS])
def test_the_window_takes_small_skews(late_ms: int) -> None:
    """15 s behind and 30 s ahead are just taken."""
    assert authenticate(headers(RSA, NOW_MS + late_ms), "GET", PATH, KEYS, NOW_MS) == RSA.key_id


@pytest.mark.parametrize("late_ms", [-300_000, -30_000, -AGE_MAX_MS - 1, AHEAD_MAX_MS + 1, 300_000])
def test_the_window_refuses_large_skews(late_ms: int) -> None:
    """A millisecond more is not, in the recorded words."""
    assert refused(headers(RSA, NOW_MS + late_ms)) == recording("auth__skew_minus30s")


@pytest.mark.parametrize("stamp", ["", "abc", "-5", "1e12", "\uff11\uff18", "9" * 40, f" {NOW_MS}"])
def test_a_timestamp_that_does_not_read_is_out_of_the_window(stamp: str) -> None:
    """Whatever is not a decimal number of milliseconds is expired."""
    assert refused(headers(RSA, NOW_MS) | {"kalshi-access-timestamp": stamp}) == recording("auth__skew_minus5min")


def test_the_recorded_refusals() -> None:
    """No signature, a bad one, and an unknown key get the exchange's own bodies."""
    good = headers(ED25519, NOW_MS)
    without = {name: value for name, value in good.items() if not name.endswith("signature")}
    assert refused(without) == recording("auth__missing_signature_header")
    assert refused(good | {"kalshi-access-signature": sign(ED25519, "else")}) == recording("auth__bad_signature")
    assert refused(good | {"kalshi-access-signature": "not base64!"}) == recording("auth__bad_signature")
    assert refused(good | {"kalshi-access-key": "someone"}) == recording("auth__unknown_key_id")


def test_fresh_keys_are_a_function_of_the_seed_and_show_nothing() -> None:
    """The same seed gives the same Ed25519 key; no repr shows the private half."""
    assert make_key(random.Random(5)).private_pem == make_key(random.Random(5)).private_pem
    assert make_key(random.Random(5)).key_id != make_key(random.Random(6)).key_id
    assert "PRIVATE" not in repr(RSA)
    assert b"BEGIN PRIVATE KEY" in RSA.private_pem


async def test_answers_over_the_server(autojump_clock: MockClock) -> None:
    """A private endpoint asks for a signature, a public one does not, a query is not signed, and all carry a date."""
    async with world() as emulator:
        nameless = await emulator.ask("GET", PATH, signed=False)
        assert (nameless.status, nameless.json) == (401, recording("auth__missing_signature_header"))
        stale = await emulator.ask("GET", PATH, headers=emulator.headers("GET", PATH, at_ms=1_700_000_000_000))
        assert (stale.status, stale.json) == (401, recording("auth__skew_minus5min"))
        open_to_all = await emulator.ask("GET", "/trade-api/v2/exchange/status", signed=False)
        assert open_to_all.status == 200
        signed = await emulator.ask("GET", "/trade-api/v2/portfolio/orders?limit=5")
        assert signed.status == 200
        dates = {answer.headers["date"] for answer in (nameless, stale, open_to_all, signed)}
        assert dates == {"Fri, 15 Jan 2027 08:00:00 GMT"}
