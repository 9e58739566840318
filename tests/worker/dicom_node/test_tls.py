"""DICOM over TLS, beside DCMTK's programs and a real Orthanc: who shows a certificate of ours comes in, nobody else."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from tests.support.certificates import Authority, Certificate
from tests.support.dicom_network import running_orthanc, send_whole
from tests.support.portal_process import free_port
from tests.support.resources import make_settings
from tests.worker.dicom_node.conftest import Peered, study
from webapp.domain.settings import Peer, SettingsError
from worker.dicom_node import sending, tls
from worker.dicom_node.tls import TlsUnusable

Make = Callable[..., Peered]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def certificates(authority: Authority) -> dict[str, Certificate]:
    return {name: authority.sign(name) for name in ("node", "peer")}


def of_node(certificate: Certificate) -> dict[str, str]:
    """The node's settings."""
    return {"dicom_tls_cert": str(certificate.cert), "dicom_tls_key": str(certificate.key),
            "dicom_tls_ca": str(certificate.ca)}  # fmt: skip


def of_dcmtk(certificate: Certificate) -> list[str]:
    """Options of DCMTK's programs."""
    return ["+tls", str(certificate.key), str(certificate.cert), "+cf", str(certificate.ca)]


def storescu(port: int, folder: Path, *options: str) -> int:
    """Send a folder's files; 0 where all were taken."""
    if shutil.which("storescu") is None:
        pytest.skip("no DCMTK: install the package dcmtk")
    command = ["storescu", *options, "-to", "10", "-ta", "10", "-aet", "SENDER", "-aec", "GLIOSCOPE"]
    return subprocess.run([*command, "127.0.0.1", str(port), "+sd", str(folder)], capture_output=True).returncode


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    folder = tmp_path / "sent"
    folder.mkdir()
    for number, data in enumerate(study()):
        (folder / f"{number}.dcm").write_bytes(data)
    return folder


@pytest.fixture
def storescp(certificates: dict[str, Certificate], tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """DCMTK's receiver over TLS: its port and folder."""
    if shutil.which("storescp") is None:
        pytest.skip("no DCMTK: install the package dcmtk")
    folder, port = tmp_path / "archive", free_port()
    folder.mkdir()
    options = [*of_dcmtk(certificates["peer"]), "--output-directory", str(folder), "-aet", "SENDER"]
    process = subprocess.Popen(["storescp", *options, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.02)
        yield port, folder
    finally:
        process.terminate()
        process.wait(20)


def test_a_study_comes_and_its_results_go_over_tls(
    make_node: Make, certificates: dict[str, Certificate], storescp: tuple[int, Path], sent: Path
) -> None:
    port, folder = storescp
    peered = make_node(
        dicom_peers=(Peer("SENDER", "127.0.0.1", port),), dicom_return="sender", **of_node(certificates["node"])
    )
    with socket.create_connection(("127.0.0.1", peered.port)):  # one that says nothing keeps nobody out
        assert storescu(peered.port, sent, *of_dcmtk(certificates["peer"])) == 0
    peered.work()
    assert peered.status().recent[-1].reason == "1 results are with SENDER"
    found = [pydicom.dcmread(path) for path in folder.iterdir()]
    assert sorted(item.Modality for item in found) == ["SEG", "SR"]
    assert np.count_nonzero(next(item for item in found if item.Modality == "SEG").pixel_array)
    assert 0 < time.time() - peered.status().heard_at < 600


def test_who_has_no_certificate_of_ours_sends_nothing(
    make_node: Make, certificates: dict[str, Certificate], sent: Path, tmp_path: Path
) -> None:
    peered = make_node(**of_node(certificates["node"]))
    stranger = Authority(tmp_path / "theirs").sign("stranger")
    mixed = Certificate(stranger.cert, stranger.key, certificates["node"].ca)  # it trusts us, and we do not trust it
    assert storescu(peered.port, sent, *of_dcmtk(mixed)) != 0
    assert storescu(peered.port, sent, "+tla", "+cf", str(mixed.ca)) != 0, "anonymous"
    assert storescu(peered.port, sent) != 0, "without TLS"
    assert peered.count("instances_stored") == 0 and not list(peered.node.spool.incoming.iterdir())
    assert storescu(peered.port, sent, *of_dcmtk(certificates["peer"])) == 0
    assert peered.count("instances_stored") == len(list(sent.iterdir()))


def test_results_go_to_no_peer_that_is_another(
    make_node: Make, authority: Authority, certificates: dict[str, Certificate], storescp: tuple[int, Path]
) -> None:
    port, folder = storescp
    paths = [folder.parent / "one.dcm"]
    paths[0].write_bytes(study()[0])
    theirs = Authority(folder.parent / "theirs")
    own = certificates["node"]
    cases = {
        "of no authority of ours": ("127.0.0.1", Certificate(own.cert, own.key, theirs.cert)),
        "of another address": ("localhost", own),
    }
    for name, (host, certificate) in cases.items():
        settings = make_node(**of_node(certificate)).resources.settings
        with pytest.raises(sending.SendFailed, match="no certificate for its address"):
            sending.send(settings, Peer("SENDER", host, port), paths)
        assert not list(folder.iterdir()), name
    with pytest.raises(sending.SendFailed, match="the peer does not answer"):
        sending.send(make_node().resources.settings, Peer("SENDER", "127.0.0.1", port), paths)
    sending.send(make_node(**of_node(own)).resources.settings, Peer("SENDER", "127.0.0.1", port), paths)
    assert len(list(folder.iterdir())) == 1


def test_an_archive_sends_and_takes_over_tls(
    make_node: Make, certificates: dict[str, Certificate], tmp_path: Path
) -> None:
    port, peer = free_port(), certificates["peer"]
    orthanc: dict[str, Any] = {
        "DicomTlsEnabled": True, "DicomTlsCertificate": str(peer.cert), "DicomTlsPrivateKey": str(peer.key),
        "DicomTlsTrustedCertificates": str(peer.ca),
        "DicomModalities": {"portal": {"AET": "GLIOSCOPE", "Host": "127.0.0.1", "Port": port, "UseDicomTls": True}},
    }  # fmt: skip
    with running_orthanc(tmp_path / "orthanc", port, **orthanc) as archive:
        peers = (Peer("ARCHIVE", "127.0.0.1", archive.dicom_port),)
        peered = make_node(
            dicom_bind=("127.0.0.1", port), dicom_peers=peers, dicom_return="sender", **of_node(certificates["node"])
        )
        archive.add(study())
        [of_archive] = archive.studies()
        archive.send(of_archive, "portal")
        deadline = time.monotonic() + 60
        while not archive.instances("SR", of_archive):
            peered.work()
            assert time.monotonic() < deadline
        assert len(archive.instances("SEG", of_archive)) == 1


def test_a_certificate_that_cannot_be_used_is_named(certificates: dict[str, Certificate], tmp_path: Path) -> None:
    node, peer = certificates["node"], certificates["peer"]
    for wrong in (
        Certificate(node.cert, peer.key, node.ca), Certificate(tmp_path / "none.pem", node.key, node.ca),
        Certificate(node.cert, node.key, node.key),
    ):  # fmt: skip
        settings = make_settings(
            tmp_path,
            GLIOSCOPE_DICOM_TLS_CERT=str(wrong.cert),
            GLIOSCOPE_DICOM_TLS_KEY=str(wrong.key),
            GLIOSCOPE_DICOM_TLS_CA=str(wrong.ca),
        )
        with pytest.raises(TlsUnusable, match="GLIOSCOPE_DICOM_TLS_CERT"):
            tls.listening(settings)
    with pytest.raises(SettingsError, match="GLIOSCOPE_DICOM_TLS_CERT need GLIOSCOPE_DICOM_TLS_KEY"):
        make_settings(tmp_path, GLIOSCOPE_DICOM_TLS_CERT=str(node.cert))


def test_without_tls_all_is_as_before(make_node: Make) -> None:
    peered = make_node()
    assert set(send_whole(peered.port, study())) == {0} and tls.calling(peered.resources.settings) is None
