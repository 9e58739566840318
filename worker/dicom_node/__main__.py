"""`python -m worker.dicom_node`: the DICOM node, until SIGTERM or SIGINT."""

import importlib.util
import logging
import os
import resource
import signal
import sys
import threading

from webapp.domain import logs
from webapp.domain.networks.owner import OwnerMissing, act_as_owner
from webapp.domain.resources import Resources
from webapp.domain.settings import Settings
from worker.process.schema import wait_for_schema


def main() -> None:
    """Ends with one sentence where something is in its way."""
    settings = Settings.of_process()
    logs.configure(settings.log)
    _check(settings)
    # They write of every element and association; ours say what a reader needs, and no patient's value.
    for name in ("pynetdicom", "pydicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    os.umask(0o077)
    # A series is handed on with all its files open.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    resources = Resources.open(settings)
    wait_for_schema(resources.database, settings.sweep_s, stopped)
    if not stopped.is_set():
        _run(resources, stopped)
    resources.close()


def _check(settings: Settings) -> None:
    if settings.dicom_node != "on":
        sys.exit("The DICOM node is off; set GLIOSCOPE_DICOM_NODE=on, and name its peers in GLIOSCOPE_DICOM_PEERS.")
    if not settings.dicom_peers:
        sys.exit("The DICOM node has no peers; name them in GLIOSCOPE_DICOM_PEERS, as AE@host:port.")
    if importlib.util.find_spec("pynetdicom") is None:
        sys.exit("The DICOM node needs pynetdicom: pip install -r requirements-dicom-network.txt")


def _run(resources: Resources, stopped: threading.Event) -> None:
    from worker.dicom_node.node import Node
    from worker.dicom_node.spool import SpoolInUse
    from worker.dicom_node.tls import TlsUnusable

    settings = resources.settings
    host, port = settings.dicom_bind
    try:
        act_as_owner(resources, settings.dicom_user)
        with Node(resources) as node:
            logging.getLogger("worker.dicom_node").info("%s listens on %s:%d", settings.dicom_title, host, port)
            node.run(stopped)
    except (OwnerMissing, TlsUnusable) as error:
        sys.exit(str(error))
    except SpoolInUse:
        sys.exit("A DICOM node runs on this instance already; stop it, or set another GLIOSCOPE_INSTANCE.")
    except OSError as error:
        sys.exit(f"The DICOM node cannot listen on {host}:{port} ({error.strerror}); set GLIOSCOPE_DICOM_BIND.")


if __name__ == "__main__":
    main()
