"""DICOM over TLS: both sides show a certificate of the hospital's own authority (PS3.15 annex B, BCP 195).

With the settings of TLS the node listens and sends over TLS alone: one port, and no peer without a certificate.
"""

import socket
import ssl
from typing import Any

from webapp.domain.settings import Settings


class TlsUnusable(Exception):
    """Certificate, key or authorities cannot be used, in one sentence."""


class _Listening(ssl.SSLContext):
    """pynetdicom wraps a connection in the thread that accepts: the handshake waits for the connection's own thread,
    so that who connects and says nothing keeps nobody else out."""

    def wrap_socket(self, sock: socket.socket, *positional: Any, **options: Any) -> ssl.SSLSocket:
        """As every context, without the handshake, which the first byte that is read begins."""
        return super().wrap_socket(sock, *positional, **options | {"do_handshake_on_connect": False})


def listening(settings: Settings) -> ssl.SSLContext | None:
    """For connections of peers, which must show a certificate; None without TLS. Raises TlsUnusable."""
    return _context(_Listening(ssl.PROTOCOL_TLS_SERVER), settings) if settings.dicom_tls_cert else None


def calling(settings: Settings) -> ssl.SSLContext | None:
    """For connections to peers, whose certificate must have their address as in the settings. Raises TlsUnusable."""
    return _context(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), settings) if settings.dicom_tls_cert else None


def _context(context: ssl.SSLContext, settings: Settings) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        # Without a password: one that is asked for would wait for a terminal.
        context.load_cert_chain(settings.dicom_tls_cert, settings.dicom_tls_key, password=lambda: "")
        context.load_verify_locations(settings.dicom_tls_ca)
    except (OSError, ValueError) as error:  # of `ssl`, too
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or "no certificate, or no key to it"
        raise TlsUnusable(
            f"The DICOM node's certificate cannot be used ({reason}); look at GLIOSCOPE_DICOM_TLS_CERT,"
            " GLIOSCOPE_DICOM_TLS_KEY and GLIOSCOPE_DICOM_TLS_CA."
        ) from error
    return context
