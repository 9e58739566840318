"""A node in this process, over a portal with a worker whose model is brightness."""

import gc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import generate_uid

from tests.support import dicom_files, volume_files
from tests.support.portal_process import free_port
from webapp.domain.database import ownership
from webapp.domain.networks import node_status
from webapp.domain.networks.node_status import NodeStatus
from webapp.domain.resources import Resources
from webapp.domain.settings import Peer
from worker.dicom_node.node import Node
from worker.jobs import runner
from worker.process.runtime import Runtime

SHAPE = (28, 32, 24)
AFFINE = volume_files.affine_of("LPS", (5.0, 5.5, 6.0), SHAPE)
VOXELS = volume_files.head(AFFINE, SHAPE, "uint16")
# Of the scans of one test.
MOST_JOBS = 5


@dataclass
class Peered:
    """A node, where it listens, and the portal behind it."""

    node: Node
    port: int
    resources: Resources
    runtime: Runtime

    def work(self) -> None:
        """A round of the node, all jobs of a worker, and another round."""
        self.node.round()
        for _ in range(MOST_JOBS):
            runner.run_next(self.runtime)
        self.node.round()

    def status(self) -> NodeStatus:
        return node_status.read(self.resources.settings)

    def count(self, name: str) -> int:
        return self.node._counts.get(name, 0)


@pytest.fixture(autouse=True)
def no_warnings_of_sockets() -> Iterator[None]:
    """pynetdicom leaves the sockets of broken associations to the garbage collector: here, and in no other test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
    ownership.act_as(None)


@pytest.fixture
def make_node(resources: Resources, runtime: Runtime, tmp_path: Path) -> Iterator[Callable[..., Peered]]:
    """Open a node over the portal, with settings of its own; an earlier one of the test is closed first."""
    opened: list[Node] = []

    def make(**changes: object) -> Peered:
        while opened:
            opened.pop().close()
        port = free_port()
        peers = (Peer("SENDER", "127.0.0.1", 1),)
        settings = replace(
            resources.settings,
            **{"dicom_bind": ("127.0.0.1", port), "dicom_peers": peers, "dicom_quiet_s": 1e-6} | changes,
        )
        own = replace(resources, settings=settings)
        opened.append(Node(own))
        return Peered(opened[-1], port, own, runtime)

    yield make
    for node in opened:
        node.close()


def study(count: int = 1, study_uid: str = "", **elements: object) -> list[bytes]:
    """Files of a study of some series, whose tumor lies elsewhere in none."""
    said = {"StudyInstanceUID": study_uid or generate_uid(), "PatientID": "H-0815", "PatientName": "Müller^Änne",
            "SpecificCharacterSet": "ISO_IR 100", "PatientBirthDate": "19330204", "PatientSex": "F",
            "StudyDate": "20260102", "StudyTime": "101500", "StudyID": "S7", "AccessionNumber": "A-99"}  # fmt: skip
    files = []
    for number in range(1, count + 1):
        voxels = np.minimum(VOXELS + number, 65_000).astype(np.uint16)
        files += dicom_files.series(voxels, AFFINE, SeriesNumber=number, **said | elements)
    return files
