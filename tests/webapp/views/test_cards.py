"""A model's page says what its card says, in words."""

from flask.testing import FlaskClient


def test_figures_have_labels_and_no_raw_keys(client: FlaskClient) -> None:
    page = client.get("/models/unet-vgg16-lgg").text
    assert "U-Net with VGG16 encoder" in page
    assert "<dt>Patient Dice</dt><dd>−0.00" in page
    assert "Equal verdicts</dt><dd>99.64&nbsp;% of the slices" in page
    assert "verdicts equal</dt>" not in page and "patient_dice" not in page and "patient dice delta" not in page


def test_files_that_the_package_lacks_are_said(client: FlaskClient) -> None:
    files = client.get("/api/v1/models/unet-vgg16-lgg").json["files"]
    missing = [name for name, file in files.items() if not file.get("present", True)]
    assert client.get("/models/unet-vgg16-lgg").text.count("not in this package") == len(missing)
