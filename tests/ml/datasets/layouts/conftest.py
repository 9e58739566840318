"""What tests of annotations share."""

import json

import pytest

from tests.support.layouts import coco, image


@pytest.fixture
def one(tmp_path):
    """A folder of one image with this segmentation, or these fields of its annotation."""

    def make(segmentation, /, **fields):
        image(tmp_path / "a.png")
        path = tmp_path / "_annotations.coco.json"
        coco(path, ["a.png"], [segmentation])
        document = json.loads(path.read_text())
        document["annotations"][0] |= fields
        path.write_text(json.dumps(document))
        return tmp_path

    return make
