"""Folders as other programs export them: CVAT's segmentation masks, Label Studio, Roboflow's copies."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from ml.datasets import DatasetError, check, find_layout
from ml.datasets.archive import ArchiveLimits, unpack
from ml.datasets.class_names import are_numbered_classes
from ml.prediction.sources import find_sources
from tests.support.evaluations import zip_of
from tests.support.layouts import SIDE, SQUARE, coco, image
from tests.support.layouts import mask as draw_mask

TUMOR = (250, 50, 83)
LABELS = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ntumor:250,50,83::\n"


def colors(path, color):
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[8:20, 8:20] = color
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def segmentation_masks(tmp_path):
    """CVAT's export "Segmentation mask 1.1" of two images; the text of its labelmap.txt is given."""

    def make(labels):
        folder = tmp_path / "cvat"
        for name in ("a", "b"):
            image(folder / "JPEGImages" / f"{name}.jpg")
            for masks in ("SegmentationClass", "SegmentationObject"):
                colors(folder / masks / f"{name}.png", TUMOR)
        (folder / "labelmap.txt").write_text(labels)
        return folder

    return make


def test_cvats_segmentation_masks_are_read_and_its_objects_left_out(segmentation_masks):
    folder = segmentation_masks(LABELS)
    report = check(folder)
    assert (report.layout, report.analysis.tumor_slices, report.analysis.areas[0].pixels) == (
        "images and masks",
        2,
        144,
    )
    (left_out,) = report.left_out
    assert left_out.count == 2 and left_out.message.startswith("Masks by their folder")
    sources, _ = find_sources([folder])
    assert [source.name for source in sources] == ["JPEGImages/a", "JPEGImages/b"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS + "brain:51,221,255::\n", "has `brain` in a color"),
        (LABELS.replace("background:0,0,0", "background:0,128,0"), "has `background` in a color"),
        (LABELS.replace("250,50,83", "0,0,0"), "has `tumor` in black"),
        ("\xff", "cannot be read as text"),
    ],
)
def test_colors_that_would_be_read_as_what_they_are_not_are_refused(segmentation_masks, labels, said):
    folder = segmentation_masks(labels)
    if "\xff" in labels:
        (folder / "labelmap.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DatasetError, match=said):
        find_layout(folder)


def test_masks_of_other_programs_are_no_scans(segmentation_masks, tmp_path):
    folder = segmentation_masks(LABELS)
    for path in (folder / "JPEGImages").iterdir():
        path.unlink()
    draw_mask(tmp_path / "brush" / "task-1-annotation-12-by-1-tag-Tumor-0.png")
    for place, said in ((folder, "in `JPEGImages`"), (tmp_path / "brush", "put each mask beside its image")):
        with pytest.raises(DatasetError, match=said):
            find_layout(place)
        with pytest.raises(DatasetError, match="There are no images to predict on"):
            find_sources([place])


@pytest.mark.parametrize("images", ["images/{}", "{}", "images"])
def test_coco_may_be_called_by_its_side_alone(tmp_path, images):
    """As in MMDetection's examples: annotations/train.json with images/train, train, or all in images."""
    for side in ("train", "val"):
        for name in ("1.png", "2.png"):
            image(tmp_path / images.format(side) / f"{side}_{name}")
        coco(tmp_path / "annotations" / f"{side}.json", [f"{side}_1.png", f"{side}_2.png"], [[SQUARE], None])
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (layout.name, report.problems, report.left_out) == ("COCO", (), ())
    assert [len(patients) for patients in layout.sides.values()] == [2, 2, 0]
    assert [bool(case.outlines) for case in layout.cases] == [True, False] * 2


@pytest.mark.parametrize("name", ["result.json", "annotations.json"])
def test_coco_of_another_name_is_told_by_its_content(tmp_path, name):
    names = ["images/0a1b2c3d-TCGA_DU_6404_19850629_1.png", "images/4e5f6a7b-x.png"]
    for one in names:
        image(tmp_path / one)
    coco(tmp_path / name, names, [[[8, 8, 19, 8, 19, 19, 10, 19, 8, 17]], None])
    layout, report = find_layout(tmp_path), check(tmp_path)
    assert (layout.name, report.problems, report.left_out) == ("COCO", (), ())
    assert [case.patient for case in layout.cases] == ["TCGA_DU_6404_19850629", "4e5f6a7b-x"]
    (tmp_path / name).write_text('[{"id": 1, "annotations": []}]')
    with pytest.raises(DatasetError, match="not one mask"):
        check(tmp_path)


def test_descriptions_of_masks_come_out_of_a_zip_with_their_content(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for name in ("labelmap.txt", "result.json", "notes.txt"):
            archive.writestr(name, "words")
    (tmp_path / "out").mkdir()
    unpack(tmp_path / "set.zip", tmp_path / "out", ArchiveLimits(members=9, member_bytes=99, bytes=999))
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {"labelmap.txt": "words", "result.json": "words", "notes.txt": ""}


def test_roboflows_copies_of_one_picture_are_one_group_and_a_barcode_is_a_patient(tmp_path):
    copies = [f"x1_png.rf.{digit * 32}.jpg" for digit in "ab"]
    named = f"TCGA_DU_6404_19850629_3_tif.rf.{'c' * 32}.jpg"
    for side, names in (
        ("train", [*copies, named]),
        ("valid", [named.replace("_3_", "_4_"), f"y_png.rf.{'d' * 20}.jpg"]),
    ):
        for name in names:
            image(tmp_path / side / name)
        coco(tmp_path / side / "_annotations.coco.json", names)
    layout = find_layout(tmp_path)
    assert {case.patient for case in layout.cases} == {"train/x1_png", "TCGA_DU_6404_19850629", "valid/y_png"}
    assert [problem.code for problem in layout.problems] == ["shared_patient"] and not layout.sides


@pytest.mark.parametrize("annotations", ["via_project_12Mar2024_10h30m_coco.json", "labels_my-project_2024.json"])
def test_coco_of_any_telling_name_is_read_where_it_is_the_only_one(tmp_path, annotations):
    for name in ("a.png", "b.png"):
        image(tmp_path / name)
    coco(tmp_path / annotations, ["a.png", "b.png"])
    report = check(tmp_path)
    assert (report.layout, report.analysis.tumor_slices, report.left_out) == ("COCO", 2, ())
    coco(tmp_path / "labels_coco.json", ["a.png"])
    with pytest.raises(DatasetError, match=r"labels_coco.json, .+.json: Annotations of a name"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("images", "outlines"),
    [
        (".", "via_project_12Mar2024.json"),  # VGG Image Annotator
        (".", "via_export_csv.csv"),
        ("ds0/img", "ds0/ann/a.png.json"),  # Supervisely
        ("images/default", "annotations/default.json"),  # Datumaro
        ("images", "annotations/other name.json"),  # V7
    ],
)
def test_outlines_of_other_programs_are_named_with_the_export_to_choose(tmp_path, images, outlines):
    image(tmp_path / images / "a.png")
    (tmp_path / outlines).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / outlines).write_text("{}")
    with pytest.raises(DatasetError, match=f"1 image and not one mask.*{outlines}: .*export them as COCO"):
        check(tmp_path)


def test_superviselys_masks_are_read_and_its_overlays_are_none(tmp_path):
    for name in ("a", "b"):
        image(tmp_path / "ds0" / "img" / f"{name}.png")
        for folder in ("masks_machine", "masks_human"):
            draw_mask(tmp_path / "ds0" / folder / f"{name}.png")
    report = check(tmp_path)
    assert (report.layout, report.analysis.tumor_slices) == ("images and masks", 2)
    assert [(group.count, group.files[0]) for group in report.left_out] == [(2, "ds0/masks_human/a.png")]


@pytest.mark.parametrize(
    ("images", "masks", "said"),
    [
        ("pictures/{}.png", ["train_masks/{}.png"], r"A mask by its folder \(`train_masks/`\)"),
        ("imagesTr/{}_0000.png", ["labelsTr/{}.png"], "without `_0000`"),  # nnU-Net's of pictures
        ("images/{}.png", ["masks/{}_tumor.png", "masks/{}_edema.png"], "join them into one mask"),
        ("{}.png", ["{}_mask_tumor.png", "{}_mask_edema.png"], "join them into one mask"),
        ("{}_axial.png", ["{}_mask.png"], r"`07.png` and `07_mask.png`"),
    ],
)
def test_masks_that_belong_to_no_image_are_said_with_their_remedy_and_never_predicted(tmp_path, images, masks, said):
    for name in ("a", "b"):
        image(tmp_path / images.format(name))
        for mask in masks:
            draw_mask(tmp_path / mask.format(name))
    with pytest.raises(DatasetError, match=said):
        check(tmp_path)
    sources, left_out = find_sources([tmp_path])
    assert {source.path.relative_to(tmp_path).as_posix() for source in sources} == set(map(images.format, "ab"))
    assert sum(group.count for group in left_out) == 2 * len(masks)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}_images", "{}_masks"),
        ("Images-{}", "Labels-{}"),
        ("{}Img", "{}Mask"),
        ("{}", "{}_masks"),  # Carvana's
        ("{}_frames/{}", "{}_masks/{}"),  # with a folder of its side within, as Keras' generators want it
        ("data/{}_images", "data/{}_masks"),
    ],
)
def test_folders_may_be_called_by_their_sides(tmp_path, images, masks):
    for side, names in (("train", "ab"), ("val", "c"), ("Test", "a")):
        for name in names:
            image(tmp_path / images.format(side, side) / f"{name}.png")
            draw_mask(tmp_path / masks.format(side, side) / f"{name}_mask.png")
    report = check(tmp_path)
    assert report.is_sound and not report.left_out and report.analysis.tumor_slices == 4
    sides = {"train": ("train/a", "train/b"), "validation": ("val/c",), "test": ("test/a",)}
    assert (report.layout, report.sides) == ("images and masks", sides)


def test_a_side_that_has_images_and_masks_of_its_own_is_read_once(tmp_path):
    """`train/images` and `train/masks`, and `train_masks` beside them."""
    for place in ("train", "val"):
        image(tmp_path / place / "images" / "a.png")
        draw_mask(tmp_path / place / "masks" / "a.png")
    draw_mask(tmp_path / "train_masks" / "a.png")
    report = check(tmp_path)
    assert report.analysis.slices == 2 and [group.files for group in report.left_out] == [("train_masks/a.png",)]


def test_annotations_without_images_are_told_to_come_with_them(tmp_path):
    (tmp_path / "a.json").write_text('{"shapes": [], "imagePath": "a.png", "imageData": "iVBORw0KGgo="}')
    with pytest.raises(DatasetError, match=r"annotations at most, and no images: add these .*`imageData`"):
        check(tmp_path)


def test_volumes_in_folders_of_images_and_masks_are_told_the_layouts_of_volumes(tmp_path):
    for place in ("images", "masks"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "P1.nii.gz").write_bytes(b"\x1f\x8b")
    with pytest.raises(DatasetError, match="Nothing says which sequence a volume is"):
        check(tmp_path)


def test_a_folder_called_img_within_images_is_no_patient(tmp_path):
    """As Keras' generators want it."""
    for name in "ab":
        image(tmp_path / "train" / "images" / "img" / f"{name}.png")
        draw_mask(tmp_path / "train" / "masks" / "img" / f"{name}.png")
    assert [patient.patient for patient in check(tmp_path).patients] == ["train/a", "train/b"]


@pytest.mark.parametrize("masks", ["masks/p1.tif", "images/p1_mask.tif"])
def test_one_file_for_the_masks_of_several_images_is_told_to_be_split(tmp_path, masks):
    for name in "abc":
        image(tmp_path / "images" / f"{name}.png")
    draw_mask(tmp_path / masks)
    with pytest.raises(DatasetError, match=r"a TIFF of several pages, save each page as the mask of its image"):
        check(tmp_path)


@pytest.mark.parametrize(
    ("folders", "is_said"),
    [
        *(
            (("glioma", "no_tumor"), True),
            (("Yes", "No"), True),
            (("glioma", "anna"), False),
            (("nora", "lgg_01"), False),
        ),
        *((("axial", "coronal", "sagittal"), True), (("T1", "T2"), True), (("site A", "site B"), True)),
        *((("batch_1", "batch 2"), True), (("T101", "T102"), False), (("axial", "anna"), False)),
    ],
)
def test_folders_called_as_classes_are_said_to_count_as_patients(tmp_path, folders, is_said):
    for place, folder in enumerate(folders):
        image(tmp_path / folder / f"{place}.png")
        draw_mask(tmp_path / folder / f"{place}_mask.png")
    found = [one.message for one in find_layout(tmp_path).problems if one.code == "nested_patients"]
    assert bool(found) is is_said and all("called as a class" in message for message in found)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("glioma", "no_tumor"), "called as a class"),
        (("0", "1", "2"), "numbered as classes are"),
        (("1", "2", "3"), ""),
        (("01", "02"), ""),
    ],
)
def test_classes_within_images_and_masks_are_said_to_count_as_patients(tmp_path, folders, words):
    """`images/glioma` and `masks/glioma` were two patients without a word, and so were classes as digits."""
    for place, folder in enumerate(folders):
        image(tmp_path / "images" / folder / f"y{place}.png")
        draw_mask(tmp_path / "masks" / folder / f"y{place}.png")
    found = [one.message for one in find_layout(tmp_path).problems if one.code == "nested_patients"]
    assert len(found) == bool(words) and all(words in message for message in found)


def test_classes_are_numbered_from_0_or_larger_than_a_head():
    assert are_numbered_classes(["1", "2", "3"], most_images=1426)  # of the figshare set of 3,064 slices
    assert not are_numbered_classes(["1", "2", "3"], most_images=155)
    assert not are_numbered_classes(["0"], most_images=9) and not are_numbered_classes(["0", "2"], most_images=9)


def test_a_blank_before_the_ending_makes_no_scan_of_a_mask(tmp_path):
    image(tmp_path / "a.png")
    draw_mask(tmp_path / "a_mask .png")
    assert check(tmp_path).analysis.tumor_slices == 1


def test_dicom_without_an_ending_is_called_so(tmp_path):
    (tmp_path / "PA0" / "SE1").mkdir(parents=True)
    for name in ("IM0", "IM1"):
        (tmp_path / "PA0" / "SE1" / name).write_bytes(bytes(128) + b"DICM" + bytes(9))
    found = r"2 files without an ending in PA0/SE1. IM0 is a DICOM file.*call the files `.dcm` \(`IM0.dcm`\).*NIfTI"
    with pytest.raises(DatasetError, match=found):
        find_layout(tmp_path)


def test_pictures_without_masks_beside_a_table_are_told_that_it_is_not_read(tmp_path):
    image(tmp_path / "images" / "a.png")
    (tmp_path / "train.csv").write_text("image_id,rle_mask\n")
    with pytest.raises(DatasetError, match=r"listed in a .csv are not read"):
        check(tmp_path)


def test_dicom_beside_masks_is_named_as_the_images_that_are_not_read(tmp_path):
    draw_mask(tmp_path / "P1" / "IM1_mask.png")
    (tmp_path / "P1" / "IM1.dcm").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(DatasetError, match=r"Its pictures are masks, and .dcm is not read in a data set"):
        find_layout(tmp_path)


LABELS_OF = {
    "_classes.csv": ("Pixel Value, Class\n0, background\n1, {}\n", "as the value 1"),
    "label_names.txt": ("_background_\n{}\n", "as the value 1"),
    "class_names.txt": ("__ignore__\n_background_\n{}\n", "as the value 1"),
    "obj_class_to_machine_color.json": ('{{"{}": [1, 1, 1]}}', "in a color"),
}
PLACES_OF = {
    "_classes.csv": ("train/1.jpg", "train/1_mask.png", "train/_classes.csv"),
    "label_names.txt": ("1_json/img.png", "1_json/label.png", "1_json/label_names.txt"),
    "class_names.txt": ("JPEGImages/1.jpg", "SegmentationClass/1.png", "class_names.txt"),
    "obj_class_to_machine_color.json": ("ds0/img/1.png", "ds0/masks_machine/1.png", "obj_class_to_machine_color.json"),
}


@pytest.mark.parametrize("name", LABELS_OF)
def test_masks_whose_file_of_labels_names_more_than_tumor_are_refused_by_all(tmp_path, name):
    """Roboflow's brain, with the value 1 of its `_classes.csv`, was tumor; from a zip, too, whose texts are kept."""
    text, value = LABELS_OF[name]
    for place, draw in zip(PLACES_OF[name], (image, draw_mask, None), strict=True):
        if draw:
            draw(tmp_path / "set" / place)
    labels = tmp_path / "set" / PLACES_OF[name][2]
    labels.write_text(text.format("tumor"))
    for number, label in enumerate(("tumor", "brain")):
        labels.write_text(text.format(label))
        out = tmp_path / f"out{number}"
        out.mkdir()
        (tmp_path / "set.zip").write_bytes(zip_of(tmp_path / "set"))
        unpack(tmp_path / "set.zip", out, ArchiveLimits(100, 10**6, 10**6))
        for folder in (tmp_path / "set", out):
            if label == "tumor":
                (case,) = find_layout(folder).cases
                assert case.has_truth and not case.fault
                continue
            with pytest.raises(DatasetError, match=f"Its {name} has `brain` {value}, and all that is not black is"):
                find_layout(folder)


def test_a_file_of_classes_of_another_kind_says_nothing_of_masks(tmp_path):
    """Roboflow's of a classification has the same name."""
    image(tmp_path / "train" / "1.jpg")
    draw_mask(tmp_path / "train" / "1_mask.png")
    (tmp_path / "train" / "_classes.csv").write_text("filename, glioma, healthy\n1.jpg, 1, 0\n")
    assert find_layout(tmp_path).has_truth


def test_folders_of_a_sides_images_are_told_what_to_call_them(tmp_path):
    """They were told to call `train` and `val` masks, which lie in those of images and of masks alike."""
    for side in ("train", "val"):
        image(tmp_path / f"{side}_pics" / side / "a.png")
        draw_mask(tmp_path / f"{side}_masks" / side / "a.png")
    text = r"lie there \(train_masks, val_masks\): call those of their images `train_images`, `val_images`"
    with pytest.raises(DatasetError, match=text):
        check(tmp_path)
    for side in ("train", "val"):
        (tmp_path / f"{side}_pics").rename(tmp_path / f"{side}_images")
    report = check(tmp_path)
    assert report.is_sound and report.sides == {"train": ("train/a",), "validation": ("val/a",), "test": ()}


@pytest.mark.parametrize("has_json", [True, False])
def test_of_nnunets_pictures_of_several_channels_flairs_are_to_be_taken(tmp_path, has_json):
    """They were told to take `_0000`, which was T1."""
    for name in ("a", "b"):
        for number in range(3):
            image(tmp_path / "imagesTr" / f"{name}_{number:04d}.png")
        draw_mask(tmp_path / "labelsTr" / f"{name}.png")
    if has_json:
        text = '{"channel_names": {"0": "T1", "1": "FLAIR", "2": "T1ce"}, "labels": {"background": 0, "tumor": 1}}'
        (tmp_path / "dataset.json").write_text(text)
    said = r"says \(`_0001`\), into" if has_json else "says, into"
    with pytest.raises(DatasetError, match=rf"lay FLAIR's pictures alone, whose number dataset.json {said}") as refused:
        check(tmp_path)
    assert "`_0000`" not in str(refused.value)


def test_mmsegmentation_has_img_dir_and_ann_dir_each_with_its_sides(tmp_path):
    for side, stem in (("train", "1"), ("train", "2"), ("val", "3")):
        image(tmp_path / "data" / "img_dir" / side / f"{stem}.png")
        draw_mask(tmp_path / "data" / "ann_dir" / side / f"{stem}.png")
    layout = find_layout(tmp_path)
    assert (layout.name, layout.problems) == ("images and masks", ())
    masks = {case.mask.relative_to(tmp_path).as_posix() for case in layout.cases}
    assert masks == {"data/ann_dir/train/1.png", "data/ann_dir/train/2.png", "data/ann_dir/val/3.png"}
    assert {side: len(patients) for side, patients in layout.sides.items()} == {"train": 2, "validation": 1, "test": 0}
    assert {source.path.parent.parent.name for source in find_sources([tmp_path])[0]} == {"img_dir"}
