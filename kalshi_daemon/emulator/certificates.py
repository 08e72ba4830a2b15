"""Certificates for `emulator --tls`: an authority of the emulator's own, and what its server shows.

Rules: the keys take the system's randomness, since a client is told to trust the authority; all is made anew at each
start and good for some days only. The wrong certificates are the authority's too, so that a client's complaint names
what is wrong with them, and not their signer.
"""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Address
from typing import Final

from attrs import field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BEFORE: Final = dt.timedelta(days=30)  # a client's clock may be behind
AFTER: Final = dt.timedelta(days=30)
EXPIRED: Final = dt.timedelta(days=-1)
OWN_NAMES: Final = (x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1")))
OTHER_NAMES: Final = (x509.DNSName("other.invalid"),)


@frozen
class Certificates:
    """PEM: the authority's certificate, for clients; and of the server each a certificate with its private key."""

    authority: bytes
    good: bytes = field(repr=False)
    expired: bytes = field(repr=False)
    misnamed: bytes = field(repr=False)


def make_certificates(now: dt.datetime) -> Certificates:
    """For a server on 127.0.0.1, alias localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kalshi-daemon emulator")])
    builder = _builder(name, name, key.public_key(), now, now + AFTER)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    authority = builder.add_extension(_usage(signs_certificates=True), critical=True).sign(key, hashes.SHA256())

    def leaf(names: tuple[x509.GeneralName, ...], ends: dt.datetime) -> bytes:
        own = ec.generate_private_key(ec.SECP256R1())
        own_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value))])
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        signed = (
            _builder(own_name, name, own.public_key(), now, ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(key, hashes.SHA256())
        )
        private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return signed.public_bytes(Encoding.PEM) + private

    return Certificates(
        authority=authority.public_bytes(Encoding.PEM),
        good=leaf(OWN_NAMES, now + AFTER),
        expired=leaf(OWN_NAMES, now + EXPIRED),
        misnamed=leaf(OTHER_NAMES, now + AFTER),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: dt.datetime, ends: dt.datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - BEFORE).not_valid_after(ends)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
