"""The node's ear: C-ECHO, C-STORE and requests of storage commitment of named peers (DICOM PS3.4 annexes B and J).
All others are rejected.

MR images are taken; whatever else a study has, results that we sent ourselves among them, is answered with the warning
"elements discarded" and dropped, so that a sender of whole studies does not stop at it.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config, dimse_messages, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from webapp.domain.database.orm import new_id
from webapp.domain.networks.node_status import Count
from webapp.domain.settings import Peer, Settings
from worker.dicom_node import tls
from worker.dicom_node.commitment import INVALID_ARGUMENT, NO_SUCH_INSTANCE, PROCESSING_FAILURE
from worker.dicom_node.header import UnreadableHeader, read_header
from worker.dicom_node.spool import Spool, SpoolFull

logger = logging.getLogger(__name__)

IMAGES = (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage)
# PS3.4 table B.2-1.
SUCCESS, DISCARDED, NO_ROOM, UNREADABLE = 0x0000, 0xB006, 0xA700, 0xC000
# PS3.7 10.1.4.1.10.
NO_SUCH_ACTION = 0x0123
# PS3.8 9.3.4: rejected for good, by the user; the calling, or the called title is not recognized.
_NOT_A_PEER, _NOT_US = (0x01, 0x01, 0x03), (0x01, 0x01, 0x07)
# Headers of PDUs and command sets around an instance.
_OVERHEAD_BYTES = 1_048_576
_PDU_BYTES = 131_072
MOST_ASSOCIATIONS = 10
# Longer than the pause of a sender that reads from a slow disk.
NETWORK_TIMEOUT_S = 120.0


@dataclass
class _Association:
    """One that was let in. keys: of `Spool.end`; bytes: since the last whole instance."""

    peer: str
    id: str = field(default_factory=new_id)
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_whole: bool = True
    bytes: int = 0


class Receiver:
    """Listens until it is closed. count: told of each event."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        count: Callable[[Count], None],
        commit: Callable[[str, Dataset], int] | None = None,
    ) -> None:
        """commit: of `Commitments.ask`; None, and storage commitment is not offered.

        Raises OSError (the port is taken), TlsUnusable.
        """
        # When a peer was last let in, in seconds since 1970; 0 where none was.
        self.heard_at = 0.0
        self._settings, self._spool, self._count, self._ask = settings, spool, count, commit
        self._peers = {peer.title: peer for peer in settings.dicom_peers}
        self._lock = threading.Lock()
        self._associations: dict[Any, _Association] = {}
        _config.STORE_RECV_CHUNKED_DATASET = True  # to a file, and not into memory
        # Beside its place, so that it is moved there in one step; pynetdicom has no setting for the folder.
        vars(dimse_messages)["NamedTemporaryFile"] = partial(NamedTemporaryFile, dir=spool.temporary)
        entity = AE(ae_title=settings.dicom_title)
        entity.maximum_associations = MOST_ASSOCIATIONS
        entity.maximum_pdu_size = _PDU_BYTES
        entity.network_timeout = max(NETWORK_TIMEOUT_S, 2 * settings.dicom_quiet_s)
        entity.add_supported_context(Verification)
        if commit is not None:
            entity.add_supported_context(StorageCommitmentPushModel)
        # Without deflate: a small message would become a gigabyte.
        syntaxes = [uid for uid in ALL_TRANSFER_SYNTAXES if uid != DeflatedExplicitVRLittleEndian]
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), syntaxes)
        self._server = entity.start_server(
            settings.dicom_bind,
            block=False,
            ssl_context=tls.listening(settings),
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _bound_silence),
                (evt.EVT_REQUESTED, self._admit),
                (evt.EVT_DATA_RECV, self._bound),
                (evt.EVT_C_ECHO, lambda _event: SUCCESS),
                (evt.EVT_C_STORE, self._store),
                (evt.EVT_N_ACTION, self._commit),
                (evt.EVT_RELEASED, lambda event: self._end(event.assoc, is_released=True)),
                (evt.EVT_ABORTED, lambda event: self._end(event.assoc, is_released=False)),
            ],
        )

    def close(self) -> None:
        """Stop listening; what was in the middle of its arrival is broken off."""
        if self._server is not None:
            self._server.shutdown()
        for association in list(self._associations):
            self._end(association, is_released=False)

    def reap(self) -> None:
        """Associations whose thread ended without a word."""
        for association in list(self._associations):
            if not association.is_alive():
                self._end(association, is_released=False)

    def _admit(self, event: evt.Event) -> None:
        """Let a peer in: by its title, from its address, calling ours. Or reject it."""
        association = event.assoc
        asked = association.requestor.primitive
        title, called = (str(getattr(asked, name)).strip() for name in ("calling_ae_title", "called_ae_title"))
        peer = self._peers.get(title)
        if peer is None or not _is_at(peer, str(association.requestor.address)):
            self._reject(association, _NOT_A_PEER, "it is not among the peers, or comes from another address")
        elif called != self._settings.dicom_title:
            self._reject(association, _NOT_US, "it calls another title")
        else:
            with self._lock:
                self._associations[association] = _Association(peer.title)
                self.heard_at = time.time()

    def _reject(self, association: Any, reason: tuple[int, int, int], words: str) -> None:
        self._count(Count.PEERS_REFUSED)
        logger.warning("an association from %s was rejected: %s", association.requestor.address, words)
        association.acse.send_reject(*reason)
        association.is_rejected = True
        association.kill()

    def _bound(self, event: evt.Event) -> None:
        """Break off an association whose instance is larger than any that is taken."""
        known = self._associations.get(event.assoc)
        if known is None:
            return
        known.bytes += len(event.data)
        if known.bytes > self._settings.max_upload_bytes + _OVERHEAD_BYTES:
            known.bytes = 0
            self._count(Count.INSTANCES_REFUSED)
            logger.warning("%s was cut off: an instance is larger than GLIOSCOPE_MAX_UPLOAD_MB", known.peer)
            event.assoc.abort(block=False)

    def _store(self, event: evt.Event) -> int:
        """Answer one C-STORE: an instance that is on our disk, or why not."""
        known = self._associations.get(event.assoc)
        if known is None:
            return NO_ROOM
        known.bytes = 0
        if event.request.AffectedSOPClassUID not in IMAGES:
            self._count(Count.INSTANCES_IGNORED)
            return DISCARDED
        try:
            return self._take(known, event.dataset_path)
        except UnreadableHeader:
            status, words = UNREADABLE, "it does not say which it is"
        except SpoolFull as error:
            status, words = NO_ROOM, f"no room: {error}"
        except OSError as error:
            status, words = NO_ROOM, f"the spool cannot be written ({error.strerror})"
        known.is_whole = False
        self._count(Count.INSTANCES_REFUSED)
        logger.warning("an instance of %s was refused: %s", known.peer, words)
        return status

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        """Answer one request of storage commitment: whether it was taken down."""
        known = self._associations.get(event.assoc)
        if known is None or self._ask is None:
            return PROCESSING_FAILURE, None
        known.bytes = 0
        if getattr(event.request, "RequestedSOPInstanceUID", "") != StorageCommitmentPushModelInstance:
            return NO_SUCH_INSTANCE, None
        if event.action_type != 1:
            return NO_SUCH_ACTION, None
        try:
            information = event.action_information
        except Exception:  # noqa: BLE001 - a stranger's bytes: readers raise whatever they like
            return INVALID_ARGUMENT, None
        return self._ask(known.peer, information), None

    def _take(self, known: _Association, path: Path) -> int:
        header = read_header(path)
        key = self._spool.key_of(known.peer, header)
        if key not in known.keys:
            known.keys[key] = self._spool.dead_marks(key)
        self._spool.store(known.id, known.peer, header, path)
        self._count(Count.INSTANCES_STORED)
        return SUCCESS

    def _end(self, association: Any, *, is_released: bool) -> None:
        with self._lock:
            known = self._associations.pop(association, None)
        if known is None or not known.keys:
            return
        is_whole = is_released and known.is_whole
        if not is_whole:
            self._count(Count.SENDERS_BROKEN)
            logger.warning("%s broke off, or an instance was refused; its studies wait to be sent again", known.peer)
        self._spool.end(known.id, known.keys, is_whole=is_whole)


def _bound_silence(event: evt.Event) -> None:
    """In the middle of a message or of a handshake nobody is waited for without end; pynetdicom bounds the rest."""
    made = event.assoc.dul.socket
    if made is not None and made.socket is not None:
        made.socket.settimeout(NETWORK_TIMEOUT_S)


def _is_at(peer: Peer, address: str) -> bool:
    """Whether an address is the peer's, whose name may have several."""
    try:
        found = {str(item[4][0]) for item in socket.getaddrinfo(peer.host, None)}
    except OSError:
        return False
    return address.removeprefix("::ffff:") in found
