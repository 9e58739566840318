"""A head and labels of it, and what MONAI Label's client sends of them."""

import io
import json
from functools import cache
from typing import Any

import numpy as np
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support import volume_files

SHAPE = (64, 64, 8)
AFFINE = volume_files.affine_of("LPS", (3.0, 3.0, 6.0), SHAPE)


@cache
def head(shift: int = 0) -> bytes:
    """A head; with another shift another one, on the same voxels. Made once: gzip writes the time into it."""
    return volume_files.nifti(volume_files.head(AFFINE, SHAPE) + shift, AFFINE)


def label(shift: int = 0, affine: Any = AFFINE) -> bytes:
    """A label as 3D Slicer writes it; moved by some voxels."""
    return volume_files.nifti(np.roll(volume_files.tumor(AFFINE, SHAPE), shift, 0).astype(np.uint8), affine)


def store_image(client: FlaskClient, name: str, data: bytes, **options: Any) -> str:
    """What `upload_image` of the client does; the scan's id."""
    address = f"/monai/datastore/?image={name}"
    answer = client.put(address, data={"params": "{}", "file": (io.BytesIO(data), "tmp1.nii.gz")}, **options)
    assert (answer.status_code, answer.json.get("image")) == (200, name), answer.text
    found: str = answer.json["scan"]
    return found


def store_label(client: FlaskClient, name: str, data: bytes, user: str = "user-xyz", **options: Any) -> TestResponse:
    """What `save_label` of the client does."""
    params = json.dumps({"label_info": [{"name": "tumor", "idx": 1}], "client_id": user})
    form = {"params": params, "label": (io.BytesIO(data), "tmp2.nii.gz")}
    return client.put(f"/monai/datastore/label?image={name}", data=form, **options)
