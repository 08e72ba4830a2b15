"""Who a request is from: the three headers, checked as the exchange checks them (api.md 1), and fresh keys.

The signed text is written out here, and not taken from `wire/`: a mistake in it must not hide in both. Rules: the
answers to bad headers are those recorded from the exchange, byte for byte; the window is the one observed there; no
repr shows the private half of a key pair.
"""

from __future__ import annotations

import random
from base64 import b64decode
from collections.abc import Mapping
from typing import Final, TypeAlias
from uuid import UUID

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from kalshi_daemon.emulator.refusals import Refused
from kalshi_daemon.units import Milliseconds

PublicKey: TypeAlias = ed25519.Ed25519PublicKey | rsa.RSAPublicKey

KEY_HEADER: Final = "kalshi-access-key"
TIMESTAMP_HEADER: Final = "kalshi-access-timestamp"
SIGNATURE_HEADER: Final = "kalshi-access-signature"
AGE_MAX_MS: Final[Milliseconds] = 15_000  # recorded: 5 s old is taken, 30 s old is not
AHEAD_MAX_MS: Final[Milliseconds] = 30_000
RSA_BITS: Final = 2048
PSS_SALT_BYTES: Final = 32  # the length of the digest


def authenticate(
    headers: Mapping[str, str], method: str, path: str, keys: Mapping[str, PublicKey], now_ms: Milliseconds
) -> str:
    """The key id that signed this request; raises Refused (401). `path` is the full path without its query."""
    signature = headers.get(SIGNATURE_HEADER, "")
    if not signature:
        raise Refused(401, "signature_is_missing_from_headers", "signature is missing from headers")
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    if not _is_current(timestamp, now_ms):
        raise Refused(401, "header_timestamp_expired", "header timestamp expired")
    key_id = headers.get(KEY_HEADER, "")
    key = keys.get(key_id)
    if key is None:
        raise Refused(401, "authentication_error", "authentication_error", "NOT_FOUND")
    if not _is_signed(key, signature, f"{timestamp}{method.upper()}{path}".encode()):
        raise Refused(401, "authentication_error", "authentication_error", "INCORRECT_API_KEY_SIGNATURE")
    return key_id


def _is_current(timestamp: str, now_ms: Milliseconds) -> bool:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= len(str(2**63))):
        return False
    return now_ms - AGE_MAX_MS <= int(timestamp) <= now_ms + AHEAD_MAX_MS


def _is_signed(key: PublicKey, signature: str, text: bytes) -> bool:
    try:
        raw = b64decode(signature, validate=True)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(raw, text)
        else:
            digest = hashes.SHA256()
            key.verify(raw, text, padding.PSS(padding.MGF1(digest), PSS_SALT_BYTES), digest)
    except (ValueError, InvalidSignature):  # ValueError: not base64
        return False
    return True


@frozen
class KeyPair:
    """A key as a member would hold it: the id, the private half as PKCS#8 PEM, and what the exchange keeps of it."""

    key_id: str
    private_pem: bytes = field(repr=False)
    public: PublicKey = field(repr=False)


def make_key(rng: random.Random, *, kind: str = "ed25519") -> KeyPair:
    """A fresh key pair. An Ed25519 one (fast) is a function of `rng`; an `rsa` one takes the system's randomness."""
    key_id = str(UUID(int=rng.getrandbits(128), version=4))
    private: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if kind == "ed25519":
        private = ed25519.Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    else:
        assert kind == "rsa", f"no such kind of key: {kind}"
        private = rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(key_id, pem, private.public_key())
