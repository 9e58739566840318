"""Certificates for tests, made by openssl: an authority, and what it signs for 127.0.0.1."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """Files in PEM."""

    cert: Path
    key: Path
    ca: Path


class Authority:
    """One that signs for whoever asks. folder: its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.cert, self._key = folder / "ca.pem", folder / "ca.key"
        _openssl("req", "-x509", *_NEW_KEY, "-subj", f"/CN={folder.name}", "-keyout", self._key, "-out", self.cert)

    def sign(self, name: str, address: str = "127.0.0.1") -> Certificate:
        """A certificate for an address, and its key."""
        cert, key, asked, said = (self._folder / f"{name}.{ending}" for ending in ("pem", "key", "csr", "ext"))
        said.write_text(f"subjectAltName=IP:{address}\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("req", *_NEW_KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", asked)
        _openssl("x509", "-req", "-in", asked, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial", "-days", "2",
                 "-extfile", said, "-out", cert)  # fmt: skip
        return Certificate(cert, key, self.cert)


_NEW_KEY = ("-newkey", "rsa:2048", "-nodes")


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
