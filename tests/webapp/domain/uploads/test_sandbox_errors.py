"""A sandbox that cannot be started is told from a storage that cannot be used, wherever files are read."""

from pathlib import Path

import pytest

from ml.datasets.volume_slices import sha256_of_image
from ml.masks import MaskRule
from ml.sandbox.launcher import SandboxError
from tests.support.resources import png_bytes
from webapp.domain.errors import DecoderUnavailable
from webapp.domain.evaluations import images
from webapp.domain.evaluations.images import Source
from webapp.domain.resources import Resources
from webapp.domain.uploads import archives
from webapp.domain.uploads.receiving import Received


def gone(*_: object, **_more: object) -> None:
    raise SandboxError("the server does not stay alive")


def test_of_an_archive(resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "unpack_archive", gone)
    with pytest.raises(DecoderUnavailable, match="unpacked"):
        archives.unpack(resources, Received(tmp_path, "a.zip", "", 1), tmp_path, 1.0)


def test_of_a_case_of_an_evaluation(resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(png_bytes())
    monkeypatch.setattr(resources.decoder, "decode", gone)
    case = Source(
        position=0,
        map_key="",
        image=image,
        image_sha256=sha256_of_image(image, None),
        boundaries=(tmp_path.resolve(),),
        size=(48, 64),
        rule=MaskRule(0.5),
        dropped=[],
        etag="a case",
    )
    with pytest.raises(DecoderUnavailable):
        images.render(resources, case, "scan")
