"""Portals and rows for tests."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy.orm import Session

from webapp.domain.database.orm import new_id
from webapp.domain.resources import Resources
from webapp.domain.scans import admission, segmentations
from webapp.domain.scans.models import Scan, Segmentation
from webapp.domain.settings import Settings
from webapp.domain.uploads import receiving

# A package whose card stays as it is, so that another release of the shipped models changes no test; it cannot be run.
MODELS = Path(__file__).parent / "models"
MODEL = "unet-vgg16-lgg"


def make_settings(folder: Path, **environ: str) -> Settings:
    """Settings over a temporary instance and the tests' own model; nothing listens on its broker's socket."""
    models = {"GLIOSCOPE_MODELS": str(MODELS), "GLIOSCOPE_MODEL": MODEL}
    return Settings.from_environment({"GLIOSCOPE_INSTANCE": str(folder / "instance"), **models, **environ})


def png_bytes(width: int = 64, height: int = 48, value: int = 90) -> bytes:
    """A small valid picture."""
    buffer = io.BytesIO()
    pixels = np.full((height, width), value, dtype=np.uint8)
    pixels[height // 4 : height // 2] = 200
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def add_scan(resources: Resources, filename: str = "scan.png", model: str = MODEL) -> tuple[str, str]:
    """A scan's row and its queued segmentation's, without files: for what only touches rows."""
    with resources.database.write() as session:
        return add_rows(session, filename, model)


def add_rows(session: Session, filename: str, model: str) -> tuple[str, str]:
    """As add_scan, many of them in one transaction."""
    scan = Scan(
        id=new_id(), filename=filename, format="png", width=64, height=48, slice_count=1, spacing_mm=None,
        sha256="0" * 64, bytes=1, warnings=[],
    )  # fmt: skip
    session.add(scan)
    session.flush()
    segmentation = segmentations.add(session, scan.id, model=model, version="1", threshold=0.5)
    return scan.id, segmentation.id


def upload(resources: Resources, data: bytes | None = None, filename: str = "scan.png") -> admission.Accepted:
    """A whole upload, decoded and stored."""
    with receiving.received(resources, io.BytesIO(data or png_bytes()), filename) as received:
        return admission.admit(resources, received, model=None, threshold=None)


def row(resources: Resources, segmentation_id: str) -> Segmentation:
    """A segmentation as it stands."""
    with resources.database.read() as session:
        return session.get_one(Segmentation, segmentation_id)
