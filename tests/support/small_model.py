"""The shipped model on a small grid: a portal with it behaves as with the real one, in a sixteenth of the time."""

import json
from pathlib import Path

from ml.digests import sha256_of
from tests.support.resources import MODEL
from webapp.domain.settings import PROJECT_ROOT

SHIPPED = PROJECT_ROOT / "ml" / "weights" / MODEL
SIDE = 64


def write_small_model(directory: Path) -> Path:
    """A directory for GLIOSCOPE_MODELS whose one package has the shipped one's name and int8 weights, at 64 x 64."""
    import openvino as ov

    from ml.engines.openvino import openvino_core

    folder = directory / SHIPPED.name
    folder.mkdir(parents=True)
    model = openvino_core().read_model(SHIPPED / "int8.xml")
    model.reshape([1, 3, SIDE, SIDE])
    ov.save_model(model, folder / "int8.xml", compress_to_fp16=False)
    card = json.loads((SHIPPED / "card.json").read_text())
    card |= {
        "familiarity": None,
        "doubt": None,
        "depth": None,
        "sequences": None,
        "crops": [],
        "min_tumor_pixels": card["min_tumor_pixels"] * SIDE**2 // card["input"]["size"][0] ** 2,
    }
    card["input"]["size"] = [SIDE, SIDE]
    card["files"] = {
        name: {"sha256": sha256_of(folder / name), "bytes": (folder / name).stat().st_size}
        for name in ("int8.xml", "int8.bin")
    }
    (folder / "card.json").write_text(json.dumps(card))
    return directory
