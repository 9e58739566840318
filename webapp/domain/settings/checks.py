"""What no single setting can say of itself: which values do not go together, and which address they allow."""

from webapp.domain.settings.groups import SETTINGS, Variables
from webapp.domain.settings.parsing import LOCAL_HOSTS, SettingsError

# All of them, or none.
_TLS = ("dicom_tls_cert", "dicom_tls_key", "dicom_tls_ca")


def check_together(settings: Variables) -> None:
    """Refuse values that contradict each other, or lack what they need. Raises SettingsError."""
    if settings.auth == "demo" and settings.dicom_node == "on":
        raise SettingsError(
            "A public demonstration takes no DICOM: set GLIOSCOPE_DICOM_NODE=off, or another GLIOSCOPE_AUTH."
        )
    if settings.heartbeat_s > settings.lease_s / 2:
        raise SettingsError(
            f"GLIOSCOPE_HEARTBEAT_S is {settings.heartbeat_s:g}; it must be at most half of GLIOSCOPE_LEASE_S,"
            f" {settings.lease_s:g}."
        )
    if settings.dicom_return not in ("off", "sender", *(peer.title for peer in settings.dicom_peers)):
        raise SettingsError(
            f"GLIOSCOPE_DICOM_RETURN is {settings.dicom_return[:40]!r}; it must be off, sender, or the title of a"
            " peer in GLIOSCOPE_DICOM_PEERS."
        )
    tls = [SETTINGS[name].name for name in _TLS if getattr(settings, name)]
    if 0 < len(tls) < len(_TLS):
        missing = [SETTINGS[name].name for name in _TLS if SETTINGS[name].name not in tls]
        raise SettingsError(f"{' and '.join(tls)} need {' and '.join(missing)}, too, for DICOM over TLS.")
    if settings.second_factor != "optional" and settings.auth != "password":
        raise SettingsError(
            f"GLIOSCOPE_SECOND_FACTOR is {settings.second_factor!r}, which is of GLIOSCOPE_AUTH=password; with oidc"
            " the provider asks for it."
        )
    if settings.auth == "oidc":
        names = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
        missing = [SETTINGS[name].name for name in names if not getattr(settings, name)]
        if missing:
            raise SettingsError(f"GLIOSCOPE_AUTH is 'oidc', which needs {' and '.join(missing)}.")


def check_bind(settings: Variables, address: tuple[str, int] | str) -> None:
    """Refuse an address that others can reach while there are no users, or what protects them is missing. Raises
    SettingsError.

    address: host and port, or the path of a Unix socket, which only this machine reaches.
    """
    if isinstance(address, str):
        return
    host = address[0].strip("[]")
    if host in ("127.0.0.1", "::1", "localhost"):
        return
    if settings.auth != "local":
        missing = []
        if not set(settings.allowed_hosts) - set(LOCAL_HOSTS):
            missing.append("GLIOSCOPE_ALLOWED_HOSTS, the name under which users reach it")
        if not settings.trusted_proxies:
            missing.append("GLIOSCOPE_TRUSTED_PROXIES, the number of proxies that bring TLS")
        if missing:
            raise SettingsError(f"The portal will not listen on {host}; set {' and '.join(missing)}.")
    else:
        raise SettingsError(
            f"The portal will not listen on {host}: without users, anybody there could read and delete scans. "
            "Bind 127.0.0.1, and put a proxy with a login in front of it where others need it."
        )
