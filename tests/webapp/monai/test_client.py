"""MONAI Label's own client, as 3D Slicer's plug-in uses it, against a running portal with its worker."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from tests.support import dicom_files, volume_files
from tests.support.portal_process import RunningPortal, running_portal
from tests.webapp.monai.calls import AFFINE, SHAPE, head, label

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # the client imports cgi
    from tests.support.vendored.monailabel_client import MONAILabelClient, MONAILabelClientException

MODEL = "unet-vgg16-lgg"
# The client leaves its sockets and files to the garbage collector.
pytestmark = [
    pytest.mark.long,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    with running_portal(tmp_path_factory.mktemp("monai"), GLIOSCOPE_MONAI_LABEL="on", GLIOSCOPE_MODEL=MODEL) as portal:
        yield portal


@pytest.fixture
def viewer(portal: RunningPortal, tmp_path: Path) -> MONAILabelClient:
    return MONAILabelClient(f"{portal.url}/monai", str(tmp_path))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    path = tmp_path / "head.nii.gz"
    path.write_bytes(volume_files.nifti(volume_files.head(AFFINE, SHAPE), AFFINE))
    return path


def test_info_session_infer_and_label(
    portal: RunningPortal, viewer: MONAILabelClient, volume: Path, tmp_path: Path
) -> None:
    info = viewer.info()
    assert info["labels"] == ["tumor"]
    assert info["models"][MODEL]["type"] == "segmentation"

    session = viewer.create_session(str(volume))["session_id"]
    assert viewer.get_session(session)["image"] == session
    file, params = viewer.infer(MODEL, "", {}, session_id=session)

    mask = nibabel.load(file)
    assert mask.shape == SHAPE
    np.testing.assert_allclose(mask.affine, AFFINE, atol=1e-4)
    assert (params["label_names"], params["model"], params["scan"]) == ({"tumor": 1}, MODEL, session)
    _, stored = portal.call("GET", f"/api/v1/scans/{session}/mask.nii.gz?segmentation={params['segmentation']}")
    assert Path(file).read_bytes() == stored

    label = tmp_path / "label.nii.gz"
    truth = volume_files.tumor(AFFINE, SHAPE).astype(np.uint8)
    label.write_bytes(volume_files.nifti(truth, AFFINE))
    assert viewer.save_label(session, str(label))["image"] == session
    _, scan = portal.json("GET", f"/api/v1/scans/{session}")
    assert scan["truth"] is not None

    again, same = viewer.infer(MODEL, session, {})
    assert same["segmentation"] == params["segmentation"], "what is there is not done again"
    assert Path(again).read_bytes() == stored


def test_automatic_segmentation_as_the_plug_in_calls_it(
    portal: RunningPortal, viewer: MONAILabelClient, volume: Path, tmp_path: Path
) -> None:
    """`onUploadImage`, `getSessionId`, `onClickSegmentation` and `updateSegmentationMask` of MONAILabel.py (0.8.5)."""
    assert viewer.auth_enabled() is False
    info = viewer.info()
    # What the panel reads, with the defaults that it would take where a field lacks.
    assert (info["name"], info["labels"], info["models"][MODEL]["labels"]) == ("Glioscope", ["tumor"], {"tumor": 1})
    assert info["models"][MODEL]["type"] == "segmentation" and info["models"][MODEL]["dimension"] == 3
    assert all(info[name] == {} for name in ("trainers", "strategies", "scoring", "train_stats", "datastore"))
    sample = {"id": "4: Ax FLAIR", "session_id": viewer.create_session(str(volume))["session_id"]}
    assert viewer.get_session(sample["session_id"])

    params = {**info["models"][MODEL]["config"], "result_extension": ".nrrd", "result_dtype": "uint8"}
    file, answered = viewer.infer(MODEL, sample["id"], params, None, None, sample["session_id"])

    assert file.endswith(".nrrd")
    image = SimpleITK.ReadImage(file)
    assert image.GetPixelIDValue() == SimpleITK.sitkUInt8
    _, stored = portal.call(
        "GET", f"/api/v1/scans/{answered['scan']}/mask.nii.gz?segmentation={answered['segmentation']}"
    )
    (tmp_path / "stored.nii.gz").write_bytes(stored)
    wanted = SimpleITK.ReadImage(str(tmp_path / "stored.nii.gz"))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image), SimpleITK.GetArrayFromImage(wanted))
    for index in ((0, 0, 0), (63, 5, 7)):
        np.testing.assert_allclose(
            image.TransformIndexToPhysicalPoint(index), wanted.TransformIndexToPhysicalPoint(index), atol=1e-4
        )
    labels = [name for name, _ in sorted(answered["label_names"].items(), key=lambda item: item[1])]
    assert labels == ["tumor"]
    # OHIF's extension: the same without gzip, and the file alone.
    asked = json.dumps({"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False})
    body = f'--b\r\nContent-Disposition: form-data; name="params"\r\n\r\n{asked}\r\n--b--\r\n'.encode()
    address = f"/monai/infer/{MODEL}?image={sample['session_id']}&output=image"
    status, raw = portal.call("POST", address, body, **{"Content-Type": "multipart/form-data; boundary=b"})
    assert status == 200 and raw.startswith(b"NRRD") and b"encoding: raw" in raw
    assert raw.endswith(SimpleITK.GetArrayFromImage(wanted).tobytes())


def test_an_image_may_come_with_the_request(viewer: MONAILabelClient, volume: Path) -> None:
    file, params = viewer.infer(MODEL, "", {}, file=str(volume))
    assert nibabel.load(file).shape == SHAPE
    assert params["model"] == MODEL


@pytest.mark.parametrize("output", ["image", "json"])
def test_an_answer_may_be_the_mask_or_the_words_alone(
    portal: RunningPortal, viewer: MONAILabelClient, volume: Path, output: str
) -> None:
    session = viewer.create_session(str(volume))["session_id"]
    status, data = portal.call("POST", f"/monai/infer/{MODEL}?image={session}&output={output}", b"")
    assert status == 200
    assert data.startswith(b"\x1f\x8b" if output == "image" else b"{")


@pytest.mark.parametrize(
    ("model", "image", "said"),
    [("none-such", "0" * 32, "There is no model"), (MODEL, "0" * 32, "no such"), (MODEL, "name", "no such image")],
)
def test_what_there_is_not_is_named(viewer: MONAILabelClient, model: str, image: str, said: str) -> None:
    with pytest.raises(MONAILabelClientException, match="404") as raised:
        viewer.infer(model, image, {})
    assert said in str(raised.value.msg)


def test_two_series_are_no_session(portal: RunningPortal, viewer: MONAILabelClient, tmp_path: Path) -> None:
    voxels = volume_files.head(AFFINE, SHAPE, "uint16")
    files: list[Any] = []
    for series in range(2):
        for k, data in enumerate(dicom_files.series(voxels + series, AFFINE)):
            files.append((f"{series}{k}.dcm", data))
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n' % (name.encode(), data)
        for name, data in files
    )
    status, answer = portal.call(
        "PUT", "/monai/session/", body + b"--b--\r\n", **{"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert status == 422 and b"2 images" in answer


def test_submit_label_of_the_plug_in_stores_the_corrected_mask_on_the_scans_own_voxels(
    portal: RunningPortal, viewer: MONAILabelClient, tmp_path: Path
) -> None:
    """The calls of MONAILabel.py (0.8.5) `onSaveLabel`: the volume under its name, then the label for this name."""
    volume, corrected = tmp_path / "tmp1.nii.gz", tmp_path / "tmp2.nii.gz"
    volume.write_bytes(head(3))
    session = viewer.create_session(str(volume))["session_id"]
    _, mask = viewer.infer(MODEL, "6: FLAIR", {}, session_id=session)

    assert viewer.upload_image(str(volume), "6: FLAIR") == {"image": "6: FLAIR", "scan": session}
    for shift in (0, 2):  # corrected, and corrected once more
        corrected.write_bytes(label(shift))
        said = viewer.save_label("6: FLAIR", str(corrected), params={"label_info": [{"name": "tumor", "idx": 1}]})
        assert said["scan"] == session
    pictures = [portal.call("GET", f"/api/v1/scans/{session}/truth.png?slice={k}")[1] for k in range(SHAPE[2])]
    # Segmented again, it is asked for by its name.
    assert viewer.infer(MODEL, "6: FLAIR", {})[1]["segmentation"] == mask["segmentation"]

    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="m.nii.gz"\r\n\r\n%s\r\n--b--\r\n' % label(2)
    assert portal.call("PUT", f"/api/v1/scans/{session}/truth", body, **boundary)[0] == 200
    assert pictures == [portal.call("GET", f"/api/v1/scans/{session}/truth.png?slice={k}")[1] for k in range(SHAPE[2])]
    assert len(set(pictures)) > 1
