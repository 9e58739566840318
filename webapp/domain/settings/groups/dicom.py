"""Settings of DICOM networks: the node, and the DICOMweb service."""

from dataclasses import dataclass

from webapp.domain.settings.parsing import (
    Peer,
    address,
    ae_title,
    choice,
    http_url,
    peers,
    seconds,
    setting,
    text,
    whole,
)

_MB = 1_000_000


@dataclass(frozen=True)
class Dicom:
    """DICOM networks."""

    dicom_node: str = setting(
        "GLIOSCOPE_DICOM_NODE",
        "off",
        choice("off", "on"),
        "`on`: a DICOM node takes studies by C-STORE (`python -m worker.dicom_node`; `make run` starts it, too); needs"
        " `requirements-dicom-network.txt`",
    )
    dicom_title: str = setting(
        "GLIOSCOPE_DICOM_AE_TITLE", "GLIOSCOPE", ae_title, "the node's own application entity title"
    )
    dicom_bind: tuple[str, int] = setting(
        "GLIOSCOPE_DICOM_BIND", "127.0.0.1:11112", address, "host and port on which the node listens"
    )
    dicom_peers: tuple[Peer, ...] = setting(
        "GLIOSCOPE_DICOM_PEERS",
        "",
        peers,
        "nodes that may send, `AE@host:port`, separated by commas; any other title, and a title from another address,"
        " is rejected",
        "none",
    )
    dicom_return: str = setting(
        "GLIOSCOPE_DICOM_RETURN",
        "off",
        text,
        "where results go by C-STORE: `off` (nowhere), `sender`, or the title of one of the peers",
    )
    dicom_commit: str = setting(
        "GLIOSCOPE_DICOM_COMMIT",
        "off",
        choice("off", "on"),
        "`on`: the node answers requests of storage commitment: kept is what became a scan that is still there, as a"
        " de-identified copy; the portal is no archive",
    )
    dicom_user: str = setting(
        "GLIOSCOPE_DICOM_USER",
        "",
        text,
        "the user whose scans they are, where there are users (`GLIOSCOPE_AUTH=password` or `oidc`)",
        "none",
    )
    dicom_tls_cert: str = setting(
        "GLIOSCOPE_DICOM_TLS_CERT",
        "",
        text,
        "a file with the node's certificate (PEM): it then speaks DICOM over TLS alone, with every peer and in both"
        " directions; with the two below",
        "none",
    )
    dicom_tls_key: str = setting(
        "GLIOSCOPE_DICOM_TLS_KEY", "", text, "a file with the key to it (PEM, without a password)", "none"
    )
    dicom_tls_ca: str = setting(
        "GLIOSCOPE_DICOM_TLS_CA",
        "",
        text,
        "a file with the authorities (PEM) of which one must have signed a peer's certificate",
        "none",
    )
    dicom_quiet_s: float = setting(
        "GLIOSCOPE_DICOM_QUIET_S", "30", seconds, "seconds without a new instance after which a study is complete"
    )
    dicom_incomplete_s: float = setting(
        "GLIOSCOPE_DICOM_INCOMPLETE_S",
        "86400",
        seconds,
        "seconds that a study whose sender broke off waits to be sent again, before it is dropped",
    )
    dicom_retry_s: float = setting(
        "GLIOSCOPE_DICOM_RETRY_S",
        "259200",
        seconds,
        "seconds for which a study is tried again whose results cannot be made or sent, before it is given up",
    )
    dicom_spool_bytes: int = setting(
        "GLIOSCOPE_DICOM_SPOOL_MB",
        "20000",
        whole(times=_MB),
        "megabytes (10^6 bytes) of studies on their way through the node; beyond it instances are refused",
    )
    dicom_studies: int = setting(
        "GLIOSCOPE_DICOM_STUDIES", "200", whole(), "studies on their way through the node at once"
    )
    dicomweb_url: str = setting(
        "GLIOSCOPE_DICOMWEB_URL",
        "",
        http_url,
        "the DICOMweb service that `flask --app wsgi dicomweb` pulls studies from and pushes results to, such as"
        " `https://pacs.example/dicom-web`",
        "none",
    )
    dicomweb_login: str = setting(
        "GLIOSCOPE_DICOMWEB_LOGIN", "", text, "`user:password` of that service (HTTP Basic)", "none", is_secret=True
    )
    dicomweb_timeout_s: float = setting(
        "GLIOSCOPE_DICOMWEB_TIMEOUT_S", "60", seconds, "seconds that the service may be silent"
    )
