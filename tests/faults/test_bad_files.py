"""One bad file among good ones, in an upload, a zip and an evaluation: the others finish, and the bad one is named."""

import http.client
import io
import json
import uuid
import zipfile
from collections.abc import Callable, Sequence

import pytest

from tests.faults.test_restarts import PATH, finish, positions
from tests.support.evaluations import write_data_set
from tests.support.portal_process import RunningPortal
from tests.support.resources import png_bytes

pytestmark = pytest.mark.long

GOOD = png_bytes(64, 64)
# By their names: another kind of file, one that is cut, one that is damaged, one of nothing.
BAD = {
    "letter.png": b"%PDF-1.7 not a picture",
    "cut.png": GOOD[: len(GOOD) // 2],
    "damaged.png": GOOD[:60] + bytes(40) + GOOD[100:],
    "empty.png": b"",
}


def send(portal: RunningPortal, files: Sequence[tuple[str, bytes]]) -> tuple[int, dict]:
    """All of them in one request, each a scan of its own."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + data
        for name, data in files
    ]
    group = f'--{boundary}\r\nContent-Disposition: form-data; name="group"\r\n\r\nnone'.encode()
    body = b"\r\n".join([group, *parts, f"--{boundary}--\r\n".encode()])
    connection = http.client.HTTPConnection("127.0.0.1", portal.port, timeout=60)
    connection.request("POST", "/api/v1/scans", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
    answer = connection.getresponse()
    status, text = answer.status, answer.read()
    connection.close()
    return status, json.loads(text)


def archive(files: Sequence[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, data in files:
            packed.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("is_zip", [False, True], ids=["files", "a zip"])
def test_the_good_files_of_a_batch_get_their_results_and_the_bad_one_is_named(
    portal: RunningPortal, figure: Callable[[str], None], is_zip: bool
) -> None:
    portal.wait_until_ready()
    for bad, data in BAD.items():
        files = [("first.png", GOOD), (bad, data), ("last.png", png_bytes(80, 80))]
        status, answer = send(portal, [("batch.zip", archive(files))] if is_zip else files)
        assert status == 202, answer
        assert [item["filename"].rpartition("/")[2] for item in answer["rejected"]] == [bad]
        ends = {scan["filename"]: portal.wait(scan["id"])["segmentation"]["status"] for scan in answer["scans"]}
        assert ends == {"first.png": "succeeded", "last.png": "succeeded"}, portal.log()
    figure(
        f"{len(BAD)} batches {'in a zip' if is_zip else 'of files'}: each bad file named, the other two have results"
    )


def test_an_evaluation_finishes_the_other_cases_and_names_the_bad_one(
    portal: RunningPortal, figure: Callable[[str], None]
) -> None:
    portal.wait_until_ready()
    data = write_data_set(portal.folder / "instance" / "datasets" / "one_bad", patients=4, slices=5)
    bad = data / "patient_1" / "p1_002.png"
    bad.write_bytes(BAD["cut.png"])
    status, answer = portal.json("POST", PATH, {"path": str(data)})
    assert status == 202, answer
    evaluation = finish(portal, answer["id"])
    assert evaluation["status"] == "succeeded", portal.log()
    cases = portal.json("GET", f"{PATH}/{answer['id']}/cases?limit=100")[1]["cases"]
    [failed] = [case for case in cases if case["error"] is not None]
    assert (failed["image"], failed["error"]["code"]) == ("patient_1/p1_002.png", "unreadable")
    assert failed["image"] in failed["error"]["message"]
    assert (len(cases), len(positions(portal, answer["id"]))) == (20, 19)
    report = json.loads(portal.call("GET", evaluation["links"]["report.json"])[1])
    assert (report["summary"]["slices"], report["summary"]["failed_slices"]) == (19, 1)
    assert failed["image"] in json.dumps(report["failures"])
    figure(
        f"an evaluation of {len(cases)} cases: the bad one is named in its row and in the report, the others are done"
    )
