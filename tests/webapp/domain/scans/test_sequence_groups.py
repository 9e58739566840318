"""Which volumes of an upload are sequences of one patient."""

import pytest

from webapp.domain.scans.sequence_groups import study_names

SEQUENCES_OF_ONE: dict[str, tuple[list[str], dict[int, str]]] = {
    "names of sequences alone": (
        ["flair.nii.gz", "t1.nii.gz", "t1-post.nii.gz"],
        dict.fromkeys(range(3), "Sequences, now"),
    ),
    "BraTS": (
        [f"BraTS-GLI-00001-000-{end}.nii.gz" for end in ("t2f", "t1n", "t1c", "t2w")],
        dict.fromkeys(range(4), "BraTS-GLI-00001-000"),
    ),
    "the older BraTS, in folders": (
        [f"set/BraTS20_01/BraTS20_01_{end}.nii" for end in ("flair", "t1", "t1ce")],
        dict.fromkeys(range(3), "BraTS20_01"),
    ),
    "the folder is the patient": (
        ["TCGA-FG-6692/flair.nii.gz", "TCGA-FG-6692/t1.nii.gz"],
        dict.fromkeys(range(2), "TCGA-FG-6692"),
    ),
    "two patients in one folder": (
        ["d/P07 FLAIR.nii", "d/P07 T1 post.nii", "d/P08_ax_flair.nii", "d/P08_sag_t1_mprage.nii"],
        {0: "P07", 1: "P07", 2: "P08", 3: "P08"},
    ),
    "names that many patients have": (
        ["A flair.nii", "A t1.nii", "x/flair.nii", "x/t1.nii"],
        {0: "A, now", 1: "A, now", 2: "x, now", 3: "x, now"},
    ),
    "days, templates and sizes": (
        [
            *("2026-11-30/flair.nii", "2026-11-30/t1.nii", "30.11.2026 flair.nii", "30.11.2026 t1.nii"),
            *("flair_MNI152_1x1x1mm.nii", "t1_MNI152_1x1x1mm.nii", "P07_20261130_flair.nii", "P07_20261130_t1.nii"),
        ],
        {0: "2026-11-30, now", 1: "2026-11-30, now", 2: "30.11.2026, now", 3: "30.11.2026, now"}
        | {4: "MNI152_1x1x1mm, now", 5: "MNI152_1x1x1mm, now", 6: "P07_20261130", 7: "P07_20261130"},
    ),
    "one alone, pictures, and others": (["P07_flair.nii", "P08_t1.nii", "flair.png", "t1.png", "a.nii", "b.nii"], {}),
}


@pytest.mark.parametrize(("paths", "studies"), SEQUENCES_OF_ONE.values(), ids=SEQUENCES_OF_ONE.keys())
def test_names_that_differ_in_the_sequence_are_one_patient(paths: list[str], studies: dict[int, str]) -> None:
    assert study_names(paths, "now") == studies
