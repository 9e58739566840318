"""Secrets that the portal must read again, encrypted: with the server's secret key, which the database has not."""

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.fernet import Fernet


def seal(secret_key: str, purpose: str, text: str) -> str:
    """The text under a key of this purpose (HKDF, RFC 5869) in Fernet's form: AES-128-CBC and HMAC-SHA-256."""
    return _cipher(secret_key, purpose).encrypt(text.encode()).decode()


def unseal(secret_key: str, purpose: str, sealed: str, lasts_s: int | None = None) -> str | None:
    """What was sealed; None where it is not of this key and purpose, was changed, or is older than this."""
    from cryptography.fernet import InvalidToken

    try:
        return _cipher(secret_key, purpose).decrypt(sealed.encode(), ttl=lasts_s).decode()
    except InvalidToken:
        return None


def _cipher(secret_key: str, purpose: str) -> "Fernet":
    from cryptography.fernet import Fernet  # not loaded where nobody has a second factor
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    key = HKDF(SHA256(), length=32, salt=None, info=f"glioscope: {purpose}".encode()).derive(secret_key.encode())
    return Fernet(base64.urlsafe_b64encode(key))
