"""The node's mouth: objects to a peer by C-STORE, over one association."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
from pynetdicom import AE

from webapp.domain.settings import Peer, Settings
from worker.dicom_node import tls

_CONNECT_S, _ANSWER_S = 10.0, 120.0


NO_ANSWER = "the peer does not answer"
NO_TLS_ANSWER = "the peer does not answer, has no TLS, or has no certificate for its address of our authorities"


class SendFailed(Exception):
    """The peer does not have all objects, for this reason. It holds no patient's value."""


def send(settings: Settings, peer: Peer, paths: Sequence[Path]) -> None:
    """Send files in this order, and stop at the first that is not taken. Raises SendFailed, TlsUnusable.

    DICOM has no transaction: before the first object is sent it is sure that the peer takes every kind of them; what
    was sent when another failed is sent again, under the same UIDs, with the next attempt.
    """
    entity = prepare(settings)
    metas = [pydicom.filereader.read_file_meta_info(path) for path in paths]
    for kind, syntax in {(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID) for meta in metas}:
        entity.add_requested_context(kind, syntax)
    association = connect(settings, peer, entity)
    try:
        taken = {context.abstract_syntax for context in association.accepted_contexts}
        for meta in metas:
            if meta.MediaStorageSOPClassUID not in taken:
                raise SendFailed(f"the peer does not take objects of the kind {meta.MediaStorageSOPClassUID.name}")
        for number, path in enumerate(paths, start=1):
            _store(association, path, f"object {number} of {len(paths)}")
        association.release()
    finally:
        if association.is_established:
            association.abort()


def prepare(settings: Settings) -> AE:
    """An entity of our title that waits for nobody without end."""
    entity = AE(ae_title=settings.dicom_title)
    entity.connection_timeout, entity.acse_timeout = _CONNECT_S, _CONNECT_S
    entity.dimse_timeout = entity.network_timeout = _ANSWER_S
    return entity


def connect(settings: Settings, peer: Peer, entity: AE, roles: Sequence[Any] = ()) -> Any:
    """An established association with a peer. roles: of `build_role`. Raises SendFailed, TlsUnusable."""
    secured = tls.calling(settings)
    tls_args = None if secured is None else (secured, peer.host)
    association = entity.associate(
        peer.host, peer.port, ae_title=peer.title, ext_neg=list(roles) or None, tls_args=tls_args
    )
    if association.is_established:
        return association
    if association.is_rejected:
        raise SendFailed("the peer rejects us: it does not know our title, or has another")
    raise SendFailed(NO_ANSWER if secured is None else NO_TLS_ANSWER)


def _store(association: object, path: Path, name: str) -> None:
    try:
        answer = association.send_c_store(path)  # type: ignore[attr-defined]
    except (RuntimeError, ValueError, OSError) as error:
        raise SendFailed(f"the peer broke off before {name}") from error
    if "Status" not in answer:
        raise SendFailed(f"the peer broke off at {name}")
    # Warnings are taken, too (PS3.4 B.2.3).
    if answer.Status != 0 and answer.Status >> 12 != 0xB:
        raise SendFailed(f"the peer refused {name} with the status {answer.Status:04X}")
