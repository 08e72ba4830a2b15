"""Signatures verify as the exchange verifies them; keys that are not safe or not usable are refused with what to do."""

from __future__ import annotations

from base64 import b64decode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from kalshi_daemon.errors import KeyRefused
from kalshi_daemon.limits import KEY_FILE_MAX
from kalshi_daemon.shell.signer import LateSigner, load_signer

KEY_ID = "11111111-2222-3333-4444-555555555555"
PATH = "/trade-api/v2/portfolio/balance"


@pytest.fixture(scope="module")
def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key, *, form=PrivateFormat.PKCS8, encryption=None):
    return key.private_bytes(Encoding.PEM, form, encryption or NoEncryption())


@pytest.fixture
def store(tmp_path):
    def write(data, mode=0o600):
        path = tmp_path / "kalshi.pem"
        path.write_bytes(data)
        path.chmod(mode)
        return path

    return write


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_rsa_key_signs_with_pss(rsa_key, store, form):
    """SHA-256, MGF1 of the same, a salt as long as the digest, over time, method and path."""
    signer = load_signer(KEY_ID, store(pem(rsa_key, form=form)))
    headers = signer.headers("GET", PATH, 1781159348379)
    assert headers["KALSHI-ACCESS-KEY"] == KEY_ID
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == "1781159348379"
    signature = b64decode(headers["KALSHI-ACCESS-SIGNATURE"], validate=True)
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
    public = rsa_key.public_key()
    public.verify(signature, f"1781159348379GET{PATH}".encode(), pss, hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(signature, f"1781159348380GET{PATH}".encode(), pss, hashes.SHA256())


def test_an_ed25519_key_signs(store):
    """The same text, by the other kind of key that the exchange takes."""
    key = ed25519.Ed25519PrivateKey.generate()
    headers = load_signer(KEY_ID, store(pem(key))).headers("DELETE", PATH, 5)
    key.public_key().verify(b64decode(headers["KALSHI-ACCESS-SIGNATURE"]), f"5DELETE{PATH}".encode())


def test_a_signer_shows_nothing_of_its_key(rsa_key, store):
    """Its repr is the public key id."""
    assert repr(load_signer(KEY_ID, store(pem(rsa_key)))) == f"Signer({KEY_ID!r})"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644, 0o440])
def test_a_key_that_others_can_read_is_refused(rsa_key, store, mode):
    """The refusal names the file, the mode and the command that mends it."""
    path = store(pem(rsa_key), mode)
    with pytest.raises(KeyRefused, match=f"has mode 0{mode:o}, others can read it: chmod 600 {path}"):
        load_signer(KEY_ID, path)


@pytest.mark.parametrize("mode", [0o400, 0o440])
def test_a_credential_of_systemd_may_be_its_groups(rsa_key, store, monkeypatch, mode):
    """In the directory that systemd names, 0440 is systemd's own choice; others still may not read it."""
    path = store(pem(rsa_key), mode)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(path.parent))
    assert load_signer(KEY_ID, path).key_id == KEY_ID
    path.chmod(0o444)
    with pytest.raises(KeyRefused, match="0444"):
        load_signer(KEY_ID, path)


def test_a_key_of_another_user_is_refused(rsa_key, store, monkeypatch):
    """A file that somebody else owns, root aside, can be replaced by them."""
    path = store(pem(rsa_key))
    owner = path.stat().st_uid
    monkeypatch.setattr("kalshi_daemon.shell.signer.ROOT_UID", owner + 1)
    monkeypatch.setattr("os.geteuid", lambda: owner + 2)
    with pytest.raises(KeyRefused, match=f"belongs to user {owner}"):
        load_signer(KEY_ID, path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no private key"),
        (b"not a key", "holds no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "holds no private key"),
        (b"x" * (KEY_FILE_MAX + 1), "that is not a key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither an RSA nor an Ed25519 key"),
        (
            pem(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - that it is breakable is the point
            "RSA key of 1024 bits",
        ),
        (pem(ed25519.Ed25519PrivateKey.generate(), encryption=BestAvailableEncryption(b"pass")), "is encrypted"),
    ],
    ids=["empty", "text", "broken", "large", "curve", "short", "encrypted"],
)
def test_a_key_that_cannot_be_used_is_refused(store, data, says):
    """The error says what is wrong with the file and carries nothing of its content, nor of another exception."""
    with pytest.raises(KeyRefused, match=says) as refused:
        load_signer(KEY_ID, store(data))
    assert "c2VjcmV0" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_a_file_that_is_not_there(tmp_path):
    """Missing files and directories are named, with the variable that names them."""
    with pytest.raises(KeyRefused, match=r"^KALSHI_PRIVATE_KEY_FILE: .*absent.pem cannot be read: No such file"):
        load_signer(KEY_ID, tmp_path / "absent.pem")
    with pytest.raises(KeyRefused, match="cannot be read: Is a directory"):
        load_signer(KEY_ID, tmp_path)


def test_a_late_signer_signs_once_it_is_loaded(rsa_key, store):
    """Before it is a mistake of ours to ask; a key that is refused is refused when it is loaded."""
    path = store(pem(rsa_key), 0o644)
    late = LateSigner(lambda: load_signer(KEY_ID, path))
    with pytest.raises(KeyRefused):
        late.load()
    with pytest.raises(AssertionError):
        late.headers("GET", PATH, 1)
    path.chmod(0o600)
    late.load()
    assert late.headers("GET", PATH, 1)["KALSHI-ACCESS-KEY"] == KEY_ID
