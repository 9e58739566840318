"""The settings of a portal: one list of environment variables, read here and nowhere else.

A setting is one field of `Settings`: its variable, its default, its type and its sentence for docs/settings.md, which a
test holds against this list. The defaults run the whole product on one machine.

Read without pydantic-settings, which cost the web process 280 ms of CPU time at its start and 14 MB.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

from webapp.domain.settings.instance import embedded_socket, stored_secret
from webapp.domain.settings.parsing import (
    LOCAL_HOSTS,
    Peer,
    Setting,
    SettingsError,
    address,
    ae_title,
    choice,
    collector,
    database_url,
    days_or_off,
    folder,
    folders,
    hosts,
    http_url,
    issuer,
    peers,
    seconds,
    secret,
    setting,
    storage_place,
    text,
    threads,
    whole,
)

__all__ = ["PROJECT_ROOT", "SETTINGS", "Peer", "Setting", "Settings", "SettingsError", "check_bind"]

PROJECT_ROOT = Path(__file__).resolve().parents[3]

_MB = 1_000_000
_MIB = 1_048_576


@dataclass(frozen=True)
class Settings:
    """One portal's settings. Sizes are in bytes where a name ends in `_bytes`, times in seconds where in `_s`."""

    # Where things are
    instance_dir: Path = setting(  # noqa: RUF009  it is a dataclass field
        "GLIOSCOPE_INSTANCE",
        "{project}/instance",
        folder,
        "the folder of this instance: database, storage, secret, Redis socket; made with mode 0700",
        "`instance` in the checkout",
    )
    database_url: str = setting(
        "DATABASE_URL",
        "sqlite:///{instance}/glioscope.sqlite3",
        database_url,
        "`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`; several machines need PostgreSQL",
        "SQLite in the instance folder",
    )
    redis_url: str = setting(
        "REDIS_URL",
        "",
        text,
        "`redis://HOST:PORT/0`, `rediss://...` or `unix://FILE`; set, no Redis of our own is started. `make run` alone"
        " starts the embedded one; started by hand, worker and web need this variable",
        "an embedded Redis on a Unix socket",
    )
    storage: str = setting(
        "GLIOSCOPE_STORAGE",
        "{instance}/storage",
        storage_place,
        "the folder of originals, decoded stacks and probability maps, or `s3://BUCKET/PREFIX` of an S3-compatible"
        " store (needs `requirements-s3.txt`; endpoint and credentials from the variables `AWS_...`); shared by web"
        " and workers",
        "`storage` in the instance folder",
    )
    folders_dir: Path = setting(  # noqa: RUF009  it is a dataclass field
        "GLIOSCOPE_FOLDERS",
        "{local}/folders",
        folder,
        "the folder of unpacked data sets and of reports in the making; web and workers must see it under the same"
        " path",
        "`folders` in the storage folder; with a bucket `folders` in the instance folder",
    )
    retention_days: int | None = setting(
        "GLIOSCOPE_RETENTION_DAYS",
        "off",
        days_or_off,
        "days after which scans (from their upload) and evaluations (from their start) are deleted with everything of"
        " them (docs/security.md); `off` keeps them",
    )
    model_directories: tuple[Path, ...] = setting(
        "GLIOSCOPE_MODELS",
        "{project}/ml/weights",
        folders,
        "folders with model packages, separated by `:`; the first package of a name is used",
        "`ml/weights` in the checkout",
    )

    # Who may come in
    auth: str = setting(
        "GLIOSCOPE_AUTH",
        "local",
        choice("local", "password", "oidc", "demo"),
        "`local`: one implicit user; the portal then refuses to listen on an address that others reach. `password`:"
        " users with roles, who log in; the first administrator is made on the command line. `oidc`: the same users,"
        " who log in at an OpenID Connect provider. `demo`: anybody may try it without a login; each browser sees its"
        " own scans alone, and they go by themselves (docs/security.md)",
    )
    audit_days: int | None = setting(
        "GLIOSCOPE_AUDIT_DAYS",
        "off",
        days_or_off,
        "days after which lines of the audit log are cut off (docs/security.md); `off` keeps them",
        "`365` with `GLIOSCOPE_AUTH=local`, otherwise `off`",
    )
    oidc_issuer: str = setting(
        "GLIOSCOPE_OIDC_ISSUER",
        "",
        issuer,
        "with `oidc`: the provider, as its `.well-known/openid-configuration` names itself; `https://...`",
        "none",
    )
    oidc_client_id: str = setting(
        "GLIOSCOPE_OIDC_CLIENT_ID", "", text, "with `oidc`: the name under which the provider knows this portal", "none"
    )
    oidc_client_secret: str = setting(
        "GLIOSCOPE_OIDC_CLIENT_SECRET",
        "",
        text,
        "with `oidc`: the secret that the provider gave this portal",
        "none",
        is_secret=True,
    )
    oidc_default_role: str = setting(
        "GLIOSCOPE_OIDC_DEFAULT_ROLE",
        "none",
        choice("none", "viewer", "researcher"),
        "with `oidc`: the role of people whom the provider knows and nobody invited; `none` refuses them",
    )
    bind: str = setting("GLIOSCOPE_BIND", "127.0.0.1:8000", text, "host and port of the web server")
    allowed_hosts: tuple[str, ...] = setting(
        "GLIOSCOPE_ALLOWED_HOSTS",
        "",
        hosts,
        "further host names, beside `127.0.0.1`, `localhost` and `[::1]`, that are answered; separated by commas or"
        " spaces",
        "none",
    )
    trusted_proxies: int = setting(
        "GLIOSCOPE_TRUSTED_PROXIES",
        "0",
        whole(least=0),
        "proxies in a row in front of the portal whose `X-Forwarded-Proto` and `X-Forwarded-For` are believed; with"
        " TLS at the first, cookies are then sent over TLS alone",
    )
    monai_label: str = setting(
        "GLIOSCOPE_MONAI_LABEL",
        "off",
        choice("off", "on"),
        "`on`: 3D Slicer segments and submits labels by MONAI Label's protocol under `/monai`",
    )
    traces: str = setting(
        "GLIOSCOPE_TRACES",
        "",
        collector,
        "where traces of jobs are sent, OTLP over HTTP: `http://HOST:4318/v1/traces`; needs `requirements-traces.txt`",
        "none",
    )
    secret_key: str = setting(
        "GLIOSCOPE_SECRET_KEY",
        "",
        secret,
        "signs sessions and form tokens; at least 32 characters, the same for all web processes",
        "random, kept in the instance folder with mode 0600",
        is_secret=True,
    )

    # Models and workers
    default_model: str = setting(
        "GLIOSCOPE_MODEL", "unet-cascade-lgg", text, "the model that is used where none is chosen"
    )
    engine: str = setting(
        "GLIOSCOPE_ENGINE",
        "auto",
        choice("auto", "torch", "openvino"),
        "`auto`, `openvino` or `torch`; `auto` is torch where there is a GPU and torch, else OpenVINO",
    )
    worker_threads: int | None = setting(
        "GLIOSCOPE_WORKER_THREADS", "0", threads, "threads of one prediction; 0 lets the engine choose"
    )
    worker_jobs: str = setting(
        "GLIOSCOPE_WORKER_JOBS",
        "all",
        choice("all", "interactive", "batch"),
        "`interactive`: a worker started by hand does uploads alone; `batch`: evaluations alone, at a lower priority of"
        " the processor; `all`: both, uploads first",
    )
    batch_worker: str = setting(
        "GLIOSCOPE_BATCH_WORKER",
        "off",
        choice("off", "on"),
        "`on`: `make run` starts a second worker, for evaluations alone, and the first does uploads alone; takes 0.5 to"
        " 0.9 GB more memory",
    )
    # A lease of three heartbeats survives two lost ones; a dead worker's job is back in the queue within 30 s.
    lease_s: float = setting(
        "GLIOSCOPE_LEASE_S", "15", seconds, "seconds for which a worker holds a job without a sign of life"
    )
    heartbeat_s: float = setting(
        "GLIOSCOPE_HEARTBEAT_S", "5", seconds, "seconds between two signs of life; at most half a lease"
    )
    sweep_s: float = setting(
        "GLIOSCOPE_SWEEP_S", "5", seconds, "seconds between two looks for jobs whose worker or message was lost"
    )
    max_attempts: int = setting(
        "GLIOSCOPE_MAX_ATTEMPTS",
        "3",
        whole(),
        "workers that a job may stop before it fails with the code `poison`",
    )
    # 512 slices at 60 ms are 31 s; ten times that is a hang and not a long job.
    job_timeout_s: float = setting(
        "GLIOSCOPE_JOB_TIMEOUT_S",
        "300",
        seconds,
        "seconds that a job may run before it fails with the code `timeout`",
    )

    # Limits of an upload
    max_upload_bytes: int = setting(
        "GLIOSCOPE_MAX_UPLOAD_MB",
        "100",
        whole(times=_MB),
        "megabytes (10^6 bytes) of one file; one request takes four times as much in all its files",
    )
    max_files_per_upload: int = setting("GLIOSCOPE_MAX_FILES", "100", whole(), "files in one request")
    max_slices: int = setting("GLIOSCOPE_MAX_SLICES", "512", whole(), "slices (pages) of one scan")
    decode_timeout_s: float = setting("GLIOSCOPE_DECODE_TIMEOUT_S", "10", seconds, "seconds for decoding one file")
    decode_memory_bytes: int = setting(
        "GLIOSCOPE_DECODE_MEMORY_MB",
        "1024",
        whole(times=_MIB),
        "address space, in MiB, of the process that decodes one file",
    )

    # Evaluations
    evaluation_roots: tuple[Path, ...] = setting(
        "GLIOSCOPE_EVALUATION_ROOTS",
        "{instance}/datasets",
        folders,
        "folders, separated by `:`, below which a data set may be chosen for an evaluation; nothing outside of them is"
        " listed or read, links included. Web and workers must see them under the same paths",
        "`datasets` in the instance folder",
    )
    # Seconds of work, so that workers share even a small evaluation and a crash costs little.
    evaluation_chunk: int = setting(
        "GLIOSCOPE_EVALUATION_CHUNK", "64", whole(), "cases of one task; workers share an evaluation chunk by chunk"
    )
    # Checking or adding up 100,000 files takes minutes.
    evaluation_timeout_s: float = setting(
        "GLIOSCOPE_EVALUATION_TIMEOUT_S",
        "3600",
        seconds,
        "seconds that the check of a data set, or adding up its results, may take; a chunk of cases has"
        " `GLIOSCOPE_JOB_TIMEOUT_S`",
    )
    max_archive_bytes: int = setting(
        "GLIOSCOPE_MAX_ARCHIVE_MB", "2000", whole(times=_MB), "megabytes (10^6 bytes) of an uploaded zip"
    )
    max_archive_files: int = setting("GLIOSCOPE_MAX_ARCHIVE_FILES", "50000", whole(), "members of a zip")
    max_unpacked_bytes: int = setting(
        "GLIOSCOPE_MAX_UNPACKED_MB",
        "8000",
        whole(times=_MB),
        "megabytes that a zip may unpack to; in no case more than 100 times its own size and 100 MB",
    )

    # DICOM networks
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
    dicom_user: str = setting(
        "GLIOSCOPE_DICOM_USER",
        "",
        text,
        "the user whose scans they are, where there are users (`GLIOSCOPE_AUTH=password`)",
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

    # A public demonstration
    demo_minutes: int = setting(
        "GLIOSCOPE_DEMO_MINUTES", "60", whole(), "minutes after its upload at which a visitor's scan goes"
    )
    demo_scans: int = setting(
        "GLIOSCOPE_DEMO_SCANS", "10", whole(), "scans that a visitor may have at a time, each with up to 5 runs"
    )
    demo_total_scans: int = setting(
        "GLIOSCOPE_DEMO_TOTAL_SCANS", "300", whole(), "scans that all visitors together may have at a time"
    )
    # A visitor who looks through a stack of 32 slices in five layers asks for 160 pictures.
    demo_requests: int = setting(
        "GLIOSCOPE_DEMO_REQUESTS", "1200", whole(), "requests of one address in a minute, pictures included"
    )
    # So that one address alone cannot fill the installation within the hour.
    demo_changes: int = setting(
        "GLIOSCOPE_DEMO_CHANGES",
        "40",
        whole(),
        "uploads, runs, deletions and other changes of one address in 10 minutes",
    )

    # Whether the launcher starts Redis: no REDIS_URL was given.
    has_embedded_redis: bool = False

    @property
    def socket_path(self) -> Path | None:
        """Socket of the embedded Redis; None where REDIS_URL names a server."""
        return Path(unquote(self.redis_url.removeprefix("unix://"))) if self.has_embedded_redis else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; an empty variable counts as not set. Raises SettingsError."""
        values: dict[str, Any] = {}
        for name, entry in SETTINGS.items():
            instance, place = values.get("instance_dir"), values.get("storage", "")
            local = instance if "://" in place else place
            chosen = DEFAULTS_OF.get(values.get("auth", ""), {}).get(name, entry.default)
            default = chosen.format(project=PROJECT_ROOT, instance=instance, local=local)
            values[name] = entry.parse(entry.name, environ.get(entry.name, "").strip() or default)
        values["has_embedded_redis"] = not values["redis_url"]
        values["redis_url"] = values["redis_url"] or f"unix://{quote(bytes(embedded_socket(values['instance_dir'])))}"
        values["secret_key"] = values["secret_key"] or stored_secret(values["instance_dir"])
        values["folders_dir"] = (
            values["folders_dir"]
            or (values["instance_dir"] if "://" in values["storage"] else Path(values["storage"])) / "folders"
        )
        settings = cls(**values)
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
        if settings.auth == "oidc":
            names = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
            missing = [SETTINGS[name].name for name in names if not getattr(settings, name)]
            if missing:
                raise SettingsError(f"GLIOSCOPE_AUTH is 'oidc', which needs {' and '.join(missing)}.")
        return settings

    @classmethod
    def of_process(cls) -> Self:
        """The environment's, for the entry point of a process, which ends with a sentence where one cannot work."""
        try:
            return cls.from_environment()
        except SettingsError as error:
            sys.exit(str(error))


# By the field of Settings, in the order of docs/settings.md.
SETTINGS: Mapping[str, Setting] = {
    field.name: field.metadata["setting"] for field in fields(Settings) if "setting" in field.metadata
}

# What `auth` makes of other settings where nothing else is set: by the field.
DEFAULTS_OF: Mapping[str, Mapping[str, str]] = {
    "demo": {"max_upload_bytes": "10", "max_files_per_upload": "32", "max_slices": "32"},
    "local": {"audit_days": "365"},
}

# All of them, or none.
_TLS = ("dicom_tls_cert", "dicom_tls_key", "dicom_tls_ca")


def check_bind(settings: Settings, address: tuple[str, int] | str) -> None:
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
