"""The browser takes the files of a folder that the data set's readers take."""

import re
from pathlib import Path

from ml.datasets.file_names import (
    ANNOTATION_SUFFIXES,
    ANNOTATIONS_FILE,
    ARCHIVE_SUFFIXES,
    DATASET_JSON,
    IMAGE_SUFFIXES,
    LABEL_MAP,
    MASK_VOLUME_SUFFIXES,
    OF_SYSTEMS,
    OTHER_SUFFIXES,
    VOLUME_SUFFIXES,
    is_description,
    is_of_system,
    may_be_outlines,
    placeholder_of,
)

SCRIPT = (Path(__file__).resolve().parents[2] / "static" / "js" / "evaluations" / "new.js").read_text()


def pattern(name: str) -> re.Pattern[str]:
    found = re.search(rf"const {name} = /(.+)/i;", SCRIPT)
    assert found is not None
    return re.compile(found[1].replace(r"\/", "/"), re.IGNORECASE)


def test_what_systems_leave_is_not_sent() -> None:
    script = (Path(__file__).resolve().parents[2] / "static" / "js" / "core" / "folders.js").read_text()
    found = re.search(r"const OF_SYSTEMS = /(.+)/i;", script)
    assert found is not None
    pattern = re.compile(found[1], re.IGNORECASE)
    for name in (*OF_SYSTEMS, ".DS_Store", "Thumbs.db"):
        assert is_of_system(name) and pattern.search(name)
    for name in ("anna", "thumbs", "recycle.png", "1.png", ".1.png.icloud"):
        assert not is_of_system(name) and not pattern.search(name)


def test_endings_are_those_of_the_readers() -> None:
    taken, other = pattern("TAKEN"), pattern("OTHER")
    read = {*VOLUME_SUFFIXES, *MASK_VOLUME_SUFFIXES}
    for suffix in (*IMAGE_SUFFIXES, *read):
        assert taken.search(f"set/a{suffix.upper()}") and not other.search(f"set/a{suffix}")
    outlines = {".json", ".xml", ".csv", ".tsv"}  # their content says whose they are
    for suffix in {*OTHER_SUFFIXES, *ANNOTATION_SUFFIXES, *ARCHIVE_SUFFIXES} - read - outlines:
        assert other.search(f"set/a{suffix}") and not taken.search(f"set/a{suffix}")
    for name in (
        ANNOTATIONS_FILE,
        f"train/{ANNOTATIONS_FILE}",
        "annotations/instances_default.json",
        DATASET_JSON,
        LABEL_MAP,
        "result.json",
        "annotations/train.json",
        "anna/1.json",
        "annotations.xml",
        "labels/train/1.txt",
        "data.yaml",
        "classes.txt",
        "manifest.csv",
        "P1/P1-label_ColorTable.ctbl",
        "P1/snap.label",
        "P1/P1_labels.txt",
        "ColorTable.txt",
    ):
        assert taken.search(name)
        parts = name.split("/")
        assert is_description(parts[-1]) or may_be_outlines(parts)
    for name in (
        ".1.png.icloud",
        "1.nii.gz.nextcloud",
        "1.png.owncloud",
        "1.tif.crdownload",
        "1.png.part",
        "1.png.partial",
    ):
        assert placeholder_of(name) and other.search(name) and not taken.search(name)
    for name in ("README.md", "set/notes.docx"):
        assert not taken.search(name) and not other.search(name)
