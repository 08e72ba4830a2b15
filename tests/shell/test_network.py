"""Connections on real sockets of this machine: what fails is said in words, and nothing has been sent."""

from __future__ import annotations

import datetime as dt
import socket
import ssl

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kalshi_daemon.errors import Unreachable
from kalshi_daemon.shell.network import SystemNetwork, resolve


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for `localhost` that only those trust who are told to."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        signed.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


async def greet(stream):
    await stream.send_all(b"hello")
    await stream.aclose()


async def listen(nursery, handler):
    listeners = await nursery.start(trio.serve_tcp, handler, 0)
    return listeners[0].socket.getsockname()[1]


async def test_a_plain_connection(nursery):
    """Without TLS the stream carries what the server sends."""
    port = await listen(nursery, greet)
    stream = await SystemNetwork().connect("localhost", port, tls=False)
    assert await stream.receive_some() == b"hello"
    await stream.aclose()


async def test_a_tls_connection(nursery, certificate):
    """With TLS the name and the authority are verified, and the stream is encrypted."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate)

    async def secure(stream):
        secured = trio.SSLStream(stream, server, server_side=True, https_compatible=True)
        try:
            await greet(secured)
        except trio.BrokenResourceError:
            await trio.aclose_forcefully(stream)

    port = await listen(nursery, secure)
    trusting = ssl.create_default_context(cafile=str(certificate))
    stream = await SystemNetwork(trusting).connect("localhost", port, tls=True)
    assert await stream.receive_some() == b"hello"
    await trio.aclose_forcefully(stream)
    with pytest.raises(Unreachable, match=f"localhost:{port} failed TLS: self-signed certificate") as refused:
        await SystemNetwork().connect("localhost", port, tls=True)
    assert not refused.value.maybe_done


async def test_a_server_that_does_not_speak_tls(nursery):
    """What answers in another protocol is a TLS failure, not a crash."""
    port = await listen(nursery, greet)
    with pytest.raises(Unreachable, match="failed TLS"):
        await SystemNetwork().connect("localhost", port, tls=True)


async def test_a_server_that_hangs_up(nursery):
    """A connection that ends inside the handshake is unreachable."""
    port = await listen(nursery, lambda stream: stream.aclose())
    with pytest.raises(Unreachable, match=f"localhost:{port} "):
        await SystemNetwork().connect("localhost", port, tls=True)


async def test_nobody_listens():
    """A refused connection is said to be one."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with pytest.raises(Unreachable, match=f"127.0.0.1:{port} refused the connection") as refused:
            await SystemNetwork().connect("127.0.0.1", port, tls=False)
    assert not refused.value.maybe_done


class Resolver(trio.abc.HostnameResolver):
    def __init__(self, resolve):
        self._resolve = resolve

    async def getaddrinfo(self, *_args):
        return await self._resolve()

    async def getnameinfo(self, *_args):
        raise NotImplementedError


async def test_a_name_without_an_address():
    """DNS is named as the step that failed: it says nothing about any order."""

    async def fail():
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    trio.socket.set_custom_hostname_resolver(Resolver(fail))
    with pytest.raises(Unreachable, match=r"exchange.test:443 has no address \(DNS: Name or service not known\)"):
        await SystemNetwork().connect("exchange.test", 443, tls=True)


async def test_a_name_server_that_hangs(autojump_clock):
    """The limit covers everything from the name to the handshake."""
    trio.socket.set_custom_hostname_resolver(Resolver(trio.sleep_forever))
    with pytest.raises(Unreachable, match=r"exchange\.test:443 did not answer within 5 s") as refused:
        await SystemNetwork().connect("exchange.test", 443, tls=True)
    assert not refused.value.maybe_done
    assert trio.current_time() == pytest.approx(5.0)


async def test_the_addresses_of_a_name():
    """Each once; a number is its own address; a name that has none is unreachable by its DNS."""
    assert await resolve("127.0.0.1", 80) == ("127.0.0.1",)

    class Nameless(trio.abc.HostnameResolver):
        async def getaddrinfo(self, *_asked):
            await trio.lowlevel.checkpoint()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        async def getnameinfo(self, *_asked):
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Nameless())
    with pytest.raises(
        Unreachable, match=r"exchange\.test has no address \(DNS: Name or service not known\)"
    ) as refused:
        await resolve("exchange.test", 443)
    assert not refused.value.maybe_done
