"""DICOM pictures that are no MR are refused by what they are."""

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from ml.scans.readers.dicom.kinds import check_kind
from ml.scans.scan import ScanError


def header(modality: str) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.Rows = made.Columns = 64
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = modality, "MONOCHROME2", 1
    return made


@pytest.mark.parametrize(
    ("modality", "name"),
    [("CT", "CT"), ("RF", "fluoroscopy"), ("PX", "dental radiography"), ("OP", "ophthalmology"), ("XC", "photography")],
)
def test_another_modality_is_refused_by_its_name(modality: str, name: str) -> None:
    with pytest.raises(ScanError, match=f"is {name}, and the models read MR") as refused:
        check_kind(header(modality))
    assert refused.value.code == "unreadable"


@pytest.mark.parametrize("modality", ["MR", "OT", ""])
def test_mr_and_what_does_not_say_are_read(modality: str) -> None:
    check_kind(header(modality))
