"""The key that signs SNS messages, and the certificate that proves it.

SNS signs with RSA, so the key of the listeners' certificate does not fit. The first use makes this key, because making
it takes a tenth of a second.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

_DAYS = 30
_HASHES = {"1": hashes.SHA1, "2": hashes.SHA256}
"""The hash for each SignatureVersion."""


class Signer:
    """Signs as SNS does: PKCS #1 v1.5 over SHA-1 (version 1) or SHA-256 (version 2)."""

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(65537, 2048)

    @cached_property
    def certificate(self) -> bytes:
        """The certificate in PEM."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    @cached_property
    def name(self) -> str:
        """The certificate's file name, as SNS builds it."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(self.certificate)
        return f"SimpleNotificationService-{digest.finalize().hex()[:32]}.pem"

    def sign(self, text: str, version: str) -> str:
        """The signature in base64."""
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), _HASHES[version]())
        return base64.b64encode(signature).decode()
