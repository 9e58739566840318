"""Which sequence a file is, by its header's numbers and words, and by its name."""

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ml.scans.readers.dicom.acquisition import acquisition_of
from ml.scans.readers.dicom.instances import _sequence
from ml.scans.sequence import Acquisition, SequenceKind, SequenceSource, StatedSequence, agree, kind_of, kind_of_name

FLAIR, T1, T1_POST, T2, EPI, OTHER, OTHER_PART = (
    SequenceKind.FLAIR,
    SequenceKind.T1,
    SequenceKind.T1_POST,
    SequenceKind.T2,
    SequenceKind.EPI,
    SequenceKind.OTHER,
    SequenceKind.OTHER_PART,
)


@pytest.mark.parametrize(
    ("kind", "elements"),
    [
        (FLAIR, {"SeriesDescription": "AX T2 FLAIR", "EchoTime": "120", "InversionTime": "2250"}),
        (FLAIR, {"SeriesDescription": "t2_tirm_tra_dark-fluid", "EchoTime": "81", "InversionTime": "2500"}),
        (FLAIR, {"SeriesDescription": "t2_tirm_tra", "EchoTime": "81", "InversionTime": "2500"}),
        (FLAIR, {"ScanningSequence": ["SE", "IR"], "EchoTime": "140", "InversionTime": "2800"}),
        (FLAIR, {"SeriesDescription": "FLAIR T1 plane", "EchoTime": "125"}),
        (FLAIR, {"SeriesDescription": "AX FLAIR +C", "ContrastBolusAgent": "Gadovist"}),
        (None, {"SeriesDescription": "FLAIR", "EchoTime": "12"}),
        (T1, {"SeriesDescription": "SAG T1 FLAIR", "EchoTime": "11", "InversionTime": "860"}),
        (T1, {"ProtocolName": "t1_fl2d_sag", "EchoTime": "2.46"}),
        (T1, {"SeriesDescription": "T1 MPRAGE", "EchoTime": "3", "InversionTime": "900", "ContrastBolusAgent": "None"}),
        (T1_POST, {"SeriesDescription": "AX T1 SE", "EchoTime": "15", "ContrastBolusAgent": "Magnevist"}),
        (T1_POST, {"SeriesDescription": "T1 post Gd", "EchoTime": "15"}),
        (T2, {"SeriesDescription": "T2 TSE", "EchoTime": "100"}),
        (T2, {"SeriesDescription": "T2 STIR", "EchoTime": "70", "InversionTime": "170"}),
        (SequenceKind.DIFFUSION, {"SeriesDescription": "ep2d_diff_tra", "ScanningSequence": "EP", "EchoTime": "90"}),
        (SequenceKind.DIFFUSION, {"ImageType": ["DERIVED", "PRIMARY", "ADC"], "EchoTime": "90"}),
        (EPI, {"SeriesDescription": "task", "ScanningSequence": "EP", "EchoTime": "60"}),
        (OTHER, {"ScanningSequence": "SE", "EchoTime": "15", "RepetitionTime": "500"}),
        (None, {"ScanningSequence": "SE", "EchoTime": "100"}),
        (None, {}),
        (None, {"EchoTime": "0"}),
        (OTHER_PART, {"BodyPartExamined": "ABDOMEN", "SeriesDescription": "T2 TSE", "EchoTime": "100"}),
        (OTHER_PART, {"BodyPartExamined": "LSPINE"}),
        (OTHER_PART, {"StudyDescription": "MRI^Right_Knee"}),
        (None, {"BodyPartExamined": "HEAD", "StudyDescription": "Liver"}),
        (None, {"StudyDescription": "Brain and abdomen"}),
        (None, {"StudyDescription": "Handler study", "BodyPartExamined": ""}),
        (None, {"BodyPartExamined": "CSPINE"}),
        (None, {"BodyPartExamined": "ABDOMEN", "SeriesDescription": "AX FLAIR", "EchoTime": "120"}),
    ],
)
def test_a_header_says_its_sequence_by_words_and_numbers(
    kind: SequenceKind | None, elements: dict[str, object]
) -> None:
    header = Dataset()
    for name, value in elements.items():
        setattr(header, name, value)
    assert kind_of(acquisition_of(header)) is kind


def test_an_enhanced_object_says_it_in_its_functional_groups() -> None:
    def item(**elements: object) -> Dataset:
        made = Dataset()
        for name, value in elements.items():
            setattr(made, name, value)
        return made

    header = item(
        SharedFunctionalGroupsSequence=[
            item(
                MRTimingAndRelatedParametersSequence=[item(RepetitionTime="9000")],
                MRModifierSequence=[item(InversionRecovery="YES", InversionTimes=[2500.0])],
            )
        ],
        PerFrameFunctionalGroupsSequence=[item(MREchoSequence=[item(EffectiveEchoTime=120.0)])],
    )
    made = acquisition_of(header)
    assert (made.echo_ms, made.repetition_ms, made.inversion_ms, made.scanning) == (120, 9000, 2500, {"IR"})
    assert kind_of(made) is FLAIR
    header.AcquisitionContrast, header.ContrastBolusAgentSequence = "T1", [item(ContrastBolusAgent="x")]
    assert kind_of(acquisition_of(header)) is T1_POST
    header.AcquisitionContrast, header.EchoPlanarPulseSequence = "UNKNOWN", "YES"
    header.SharedFunctionalGroupsSequence[0].MRModifierSequence = []
    assert kind_of(acquisition_of(header)) is EPI


def test_a_damaged_number_says_nothing_and_refuses_nothing() -> None:
    echo = RawDataElement(Tag("EchoTime"), "DS", 4, b"abcd", 0, False, True)
    assert _sequence(Dataset({echo.tag: echo})) is None
    assert kind_of(Acquisition(words="T1", echo_ms=float("inf"))) is T1


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            FLAIR,
            "flair.nii.gz sub-01_FLAIR.nii BraTS-GLI-00001-000-t2f.nii.gz x_flair.nii fla-atlas.nii.gz T2_FLAIR.nii",
        ),
        (T1, "t1.nii.gz sub-01_T1w.nii.gz BraTS-GLI-00001-000-t1n.nii.gz x_t1.nii MPRAGE.nii t1_pre.nii"),
        (
            T1_POST,
            "t1ce.nii BraTS-GLI-00001-000-t1c.nii.gz t1-post.nii.gz t1gd.nii t1_km.nii sub_T1w_post.nii T1+C.nii",
        ),
        (T2, "BraTS-GLI-00001-000-t2w.nii.gz sub-01_T2w.nii t2.nii.gz"),
        (EPI, "sub-01_task-rest_bold.nii.gz fMRI_MB_asc.nii"),
        (SequenceKind.DIFFUSION, "sub-01_dwi.nii.gz DTI.nii"),
        # What is no word of a sequence; "t1" beside another may be the first of several days.
        (None, "scan1.nii patient_10.nii tumor.nii.gz mosaic-ax.nii t10.nii t1_flair.nii t1_t2.nii flairs1t.t1.nii"),
    ],
)
def test_a_name_says_its_sequence_by_whole_words(kind: SequenceKind | None, names: str) -> None:
    assert {name: kind_of_name(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


@pytest.mark.parametrize(
    ("header", "name", "stated"),
    [
        (None, None, None),
        (FLAIR, None, (FLAIR, "header")),
        (FLAIR, FLAIR, (FLAIR, "header")),
        (None, T1, (T1, "name")),
        (T1, T1_POST, (T1, "header")),
        (OTHER, T1_POST, (T1_POST, "header")),
        (OTHER, FLAIR, None),
        (FLAIR, T1, None),
    ],
)
def test_header_and_name_agree_or_say_nothing(
    header: SequenceKind | None, name: SequenceKind | None, stated: tuple[SequenceKind, str] | None
) -> None:
    expected = stated and StatedSequence(stated[0], SequenceSource(stated[1]))
    assert agree(header, name) == expected
    assert expected is None or StatedSequence.from_json(expected.to_json()) == expected
