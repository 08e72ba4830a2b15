"""Signs requests with the account's private key, and loads that key from a PEM file.

Rules: the key never leaves this module, and no error or repr shows any of it. A key file that others can read is
refused, with the command that mends it; systemd's credentials are kept by systemd, so theirs may also be 0440. Signed
headers are good for any body for half a minute: they are as secret as a password. Signing is done inline: at 2048 bits
a thread costs more than it saves.
"""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kalshi_daemon.errors import KeyRefused
from kalshi_daemon.limits import KEY_FILE_MAX
from kalshi_daemon.units import Milliseconds
from kalshi_daemon.wire.signing import KEY_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, string_to_sign

RSA_BITS_MIN: Final = 2048  # what the exchange issues
ROOT_UID: Final = 0
DIGEST: Final = hashes.SHA256()
PSS: Final = padding.PSS(mgf=padding.MGF1(DIGEST), salt_length=DIGEST.digest_size)


class Signs(Protocol):
    """Whatever signs a request: a `Signer`, or a `LateSigner` once it is loaded."""

    def headers(self, method: str, path: str, now_ms: Milliseconds) -> dict[str, str]: ...


class Signer:
    """Holds one key. Its repr shows the key id, which is public."""

    def __init__(self, key_id: str, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> None:
        self.key_id = key_id
        self._sign: Callable[[bytes], bytes]
        if isinstance(key, rsa.RSAPrivateKey):
            self._sign = lambda text: key.sign(text, PSS, DIGEST)
        else:
            self._sign = key.sign

    def __repr__(self) -> str:
        return f"Signer({self.key_id!r})"

    def headers(self, method: str, path: str, now_ms: Milliseconds) -> dict[str, str]:
        """The three headers of a private request. `path` is the full one, without a query."""
        signature = self._sign(string_to_sign(now_ms, method, path).encode())
        return {
            KEY_HEADER: self.key_id,
            TIMESTAMP_HEADER: str(now_ms),
            SIGNATURE_HEADER: b64encode(signature).decode(),
        }


def load_signer(key_id: str, path: str | Path) -> Signer:
    """Read the private key from a PEM file. Raises `KeyRefused` with what to do."""
    try:
        return signer_from_pem(key_id, _read_private(Path(path)), str(path))
    except KeyRefused as refused:
        raise KeyRefused(f"KALSHI_PRIVATE_KEY_FILE: {refused}") from None


def signer_from_pem(key_id: str, pem: bytes, path: str) -> Signer:
    """The same from the file's bytes; `path` is what errors call it."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise KeyRefused(
            f"{path} is encrypted, and the daemon cannot ask for a passphrase: store it decrypted"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused(f"{path} holds no private key in PEM form: store the file as the exchange gave it") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Signer(key_id, key)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyRefused(f"{path} is neither an RSA nor an Ed25519 key: the exchange takes no other")
    if key.key_size < RSA_BITS_MIN:
        raise KeyRefused(f"{path} is an RSA key of {key.key_size} bits: the exchange issues {RSA_BITS_MIN} and more")
    return Signer(key_id, key)


def _read_private(path: Path) -> bytes:
    """The file's bytes. What is checked is the file that was opened, not the name."""
    try:
        with path.open("rb") as file:
            _check_access(path, os.fstat(file.fileno()))
            pem = file.read(KEY_FILE_MAX + 1)
    except OSError as error:
        raise KeyRefused(f"{path} cannot be read: {error.strerror}") from None
    if len(pem) > KEY_FILE_MAX:
        raise KeyRefused(f"{path} is larger than {KEY_FILE_MAX} bytes: that is not a key")
    return pem


def _check_access(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyRefused(f"{path} is not a regular file")
    if status.st_uid not in (os.geteuid(), ROOT_UID):
        raise KeyRefused(f"{path} belongs to user {status.st_uid}: chown it to the user that the daemon runs as")
    allowed = 0o440 if _is_credential(path) else 0o700
    open_to = stat.S_IMODE(status.st_mode) & ~allowed
    if open_to:
        raise KeyRefused(f"{path} has mode {stat.S_IMODE(status.st_mode):04o}, others can read it: chmod 600 {path}")


def _is_credential(path: Path) -> bool:
    """Whether systemd put it there: in the directory that it names to us, on a file system that only we can enter."""
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return directory is not None and path.parent == Path(directory)


class LateSigner:
    """Stands for a signer until preflight has loaded it, so that everything that signs can be built before."""

    def __init__(self, load: Callable[[], Signs]) -> None:
        self._load = load
        self._signer: Signs | None = None

    def load(self) -> None:
        """Raises KeyRefused."""
        self._signer = self._load()

    def headers(self, method: str, path: str, now_ms: Milliseconds) -> dict[str, str]:
        assert self._signer is not None, "nothing is signed before preflight has loaded the key"
        return self._signer.headers(method, path, now_ms)
