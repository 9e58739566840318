"""How the DICOM node fares: a small file in its spool, which the node writes and others only read. No patient in it."""

import json
import time
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from ml.atomic_files import write_text
from webapp.domain.settings import Settings

# The node writes it every few seconds.
FRESH_S = 60.0
# Outcomes that are remembered by name.
MOST_RECENT = 50


class Count(StrEnum):
    """What the node counts, over all its lives. The value is the label of the metric, the sentence its meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Count":
        member = str.__new__(cls, value)
        member._value_, member.meaning = value, meaning
        return member

    INSTANCES_STORED = "instances_stored", "instances taken into the spool"
    INSTANCES_REFUSED = "instances_refused", "instances refused: unreadable, too large, or no room"
    INSTANCES_IGNORED = "instances_ignored", "objects that are no MR images, answered with a warning and dropped"
    PEERS_REFUSED = "peers_refused", "associations rejected: not a peer, or another title called"
    SENDERS_BROKEN = "senders_broken", "associations that broke off after the first instance"
    STUDIES_TAKEN = "studies_taken", "complete studies whose series are scans now"
    STUDIES_DROPPED = "studies_dropped", "interrupted studies that were not sent again in time"
    SERIES_REFUSED = "series_refused", "series that were refused as an upload would be"
    SENDS_FAILED = "sends_failed", "attempts at sending results that failed"
    RESULTS_SENT = "results_sent", "studies whose results are with the peer"
    COMMITMENTS_GIVEN = "commitments_given", "requests of storage commitment: all instances are kept"
    COMMITMENTS_REFUSED = "commitments_refused", "requests of storage commitment: some instances are not kept"
    COMMITMENTS_GIVEN_UP = "commitments_given_up", "answers to such requests that no peer took in time"
    STUDIES_GIVEN_UP = "studies_given_up", "studies given up after GLIOSCOPE_DICOM_RETRY_S"


# Where a study in the spool may be.
STATES = ("arriving", "interrupted", "taking", "waiting", "sending")


@dataclass(frozen=True)
class Entry:
    """A study in the spool, or what became of one. key: its folder's name, which says nothing of the patient."""

    key: str
    peer: str
    state: str
    reason: str = ""
    at: float = 0.0


@dataclass
class NodeStatus:
    """at: seconds since 1970. counts: by `Count`. studies: in the spool now; recent: what became of the last ones.

    heard_at: when a peer was last let in; 0 where that is not known. oldest_at: since when the oldest study that is
    complete waits; 0 where none does. Both in seconds since 1970.
    """

    at: float = 0.0
    spool_bytes: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    studies: list[Entry] = field(default_factory=list)
    recent: list[Entry] = field(default_factory=list)
    heard_at: float = 0.0
    oldest_at: float = 0.0

    @property
    def is_fresh(self) -> bool:
        """Whether the node has written it lately, and so lives."""
        return time.time() - self.at < FRESH_S

    def by_state(self) -> dict[str, int]:
        """Studies in the spool."""
        return {state: sum(entry.state == state for entry in self.studies) for state in STATES}


def spool_folder(settings: Settings) -> Path:
    """Where the node keeps studies on their way."""
    return settings.instance_dir / "dicom"


def read(settings: Settings) -> NodeStatus:
    """What the node last wrote; an empty status where there is none, or none that can be read."""
    try:
        found = json.loads(_path(settings).read_text())
        studies, recent = ([Entry(**item) for item in found.pop(name)] for name in ("studies", "recent"))
        return NodeStatus(**found, studies=studies, recent=recent)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return NodeStatus()


def write(settings: Settings, status: NodeStatus) -> None:
    """Raises OSError."""
    write_text(_path(settings), json.dumps(asdict(status)))


def _path(settings: Settings) -> Path:
    return spool_folder(settings) / "status.json"
