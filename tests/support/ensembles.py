"""An ensemble with its members, small enough for tests of the portal: cards and files, but no networks."""

import json
from pathlib import Path

from ml.digests import sha256_of
from tests.support.resources import MODEL, MODELS

_CARD = MODELS / MODEL / "card.json"
NAME = "both"


def write_ensemble(models: Path) -> Path:
    """The packages `one` and `two` with the tests' card and a file each, and the ensemble `both` of them; `models`."""
    card = json.loads(_CARD.read_text(encoding="utf-8"))
    members = []
    for name in ("one", "two"):
        (models / name).mkdir(parents=True)
        (models / name / "int8.bin").write_bytes(name.encode())
        file = {"sha256": sha256_of(models / name / "int8.bin"), "bytes": 3}
        (models / name / "card.json").write_text(json.dumps({**card, "name": name, "files": {"int8.bin": file}}))
        members.append({"name": name, "version": "1.2.3", "card_sha256": sha256_of(models / name / "card.json")})
    network = {**card["architecture"], "network": "ensemble", "encoder": "one + two"}
    ensemble = {**card, "name": NAME, "architecture": network, "files": {}, "members": members, "parity": {}}
    (models / NAME).mkdir()
    (models / NAME / "card.json").write_text(json.dumps(ensemble))
    return models
