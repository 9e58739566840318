"""Masks that can be read and are not what an expert drew: warnings, and a problem where most are so."""

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from ml.__main__ import main
from ml.datasets import Case, check, find_layout, list_cases
from ml.datasets.loading import load_case
from ml.datasets.mask_findings import (
    DoubtfulMasks,
    count_doubtful,
    count_values,
    digest_of_labels,
    is_picture,
    trace_mask,
)
from tests.ml.datasets.conftest import draw_mask

SIDE = 48


def head(seed):
    """uint8 (SIDE, SIDE, 3): a noisy disk on black."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    pixels = np.random.default_rng(seed).integers(60, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels[np.hypot(rows, columns) > 20] = 3
    return pixels


def square(top, left=20, side=6):
    truth = np.zeros((SIDE, SIDE), dtype=bool)
    truth[top : top + side, left : left + side] = True
    return truth


@pytest.fixture
def heads(tmp_path):
    """A patient with six slices, each with a tumor of its own."""
    folder = tmp_path / "heads" / "anna"
    folder.mkdir(parents=True)
    for index in range(6):
        Image.fromarray(head(index)).save(folder / f"a_{index}.png")
        Image.fromarray(square(15 + index)).save(folder / f"a_{index}_mask.png")
    return folder.parent


def write_mask(folder, index, truth):
    Image.fromarray(truth).save(folder / "anna" / f"a_{index}_mask.png")


def trace(case):
    return trace_mask(case.pixels(), case.truth(), (), digest_of_labels(case.label_map().values))


def warnings_of(report):
    return [(warning.code, warning.files[0].removeprefix("anna/")) for warning in report.warnings]


def test_plausible_masks_have_no_warning(heads):
    report = check(heads)
    assert report.is_sound and not report.warnings and report.doubtful_masks == DoubtfulMasks(masks=6)


def test_masks_that_no_expert_draws_are_named_and_the_set_stays_sound(heads):
    write_mask(heads, 0, ~square(15))  # background and tumor exchanged
    write_mask(heads, 1, square(0, 0))  # in the air
    report = check(heads)
    assert report.is_sound and report.data_sha256
    assert sorted(warnings_of(report)) == [
        ("mask_covers_slice", "a_0_mask.png"),
        ("mask_mostly_outside", "a_1_mask.png"),
        ("mask_outside_head", "a_0_mask.png"),
        ("mask_outside_head", "a_1_mask.png"),
    ]
    counts = {"mask_covers_slice": 1, "mask_outside_head": 2, "mask_mostly_outside": 1}
    assert report.doubtful_masks == DoubtfulMasks(6, 2, counts)


def test_a_split_says_that_masks_are_doubtful(heads, tmp_path, capsys):
    (heads / "ben").mkdir()
    Image.fromarray(head(9)).save(heads / "ben" / "b.png")
    Image.fromarray(~square(30)).save(heads / "ben" / "b_mask.png")
    assert main(["split", str(heads), "--out", str(tmp_path / "split.json"), "--shares", "50,50,0"]) == 0
    assert "1 of 7 expert masks is doubtful (most of the slice covered: 1," in capsys.readouterr().out


def test_several_values_are_no_sign_where_there_are_several_classes(heads):
    values = square(15).astype(np.uint8)
    values[18:] *= 2
    Image.fromarray(values).save(heads / "anna" / "a_0_mask.png")
    assert check(heads, is_binary_needed=False).doubtful_masks == DoubtfulMasks(masks=6)
    assert check(heads).doubtful_masks.counts == {"non_binary_mask": 1}


def test_a_mask_that_three_different_slices_share_is_named(heads):
    for index in (1, 3):
        write_mask(heads, index, square(15))
    assert warnings_of(check(heads)) == [("mask_repeated", f"a_{index}_mask.png") for index in (0, 1, 3)]
    Image.open(heads / "anna" / "a_0.png").save(heads / "anna" / "a_3.png")  # one slice twice: a resampled stack
    assert check(heads).warnings == ()


def test_masks_that_two_patients_share_are_named(heads):
    (heads / "ben").mkdir()
    for index in range(6):
        image = Image.fromarray(head(index)).point(lambda value: value // 2)
        image.save(heads / "ben" / f"a_{index}.png")
        Image.fromarray(square(15 + index + 9 * (index > 1))).save(heads / "ben" / f"a_{index}_mask.png")
    assert check(heads).warnings == ()  # two of six may be chance
    Image.open(heads / "anna" / "a_5_mask.png").save(heads / "ben" / "a_5_mask.png")
    report = check(heads)
    assert report.is_sound and report.doubtful_masks.counts == {"mask_shared": 6}
    assert ("mask_shared", "a_5_mask.png") in warnings_of(report)
    Image.open(heads / "anna" / "a_5.png").save(heads / "ben" / "a_5.png")  # the slice is in the data twice
    assert "mask_shared" not in check(heads).doubtful_masks.counts


def test_masks_of_other_classes_are_other_masks_and_the_numbers_of_classes_are_none_of_it(heads):
    outline = square(15, side=12).astype(np.uint8)
    for index, inner in enumerate((square(17), square(18), square(19))):
        write_mask(heads, index, outline + inner)  # edema, and the tumor in it
    report = check(heads, is_binary_needed=False)
    assert "mask_repeated" not in report.doubtful_masks.counts
    for index, high in enumerate((1, 2, 255)):
        write_mask(heads, index, square(15) * np.uint8(high))
    assert check(heads).doubtful_masks.counts == {"mask_repeated": 3}


def test_three_rectangles_are_boxes_and_fewer_may_be_chance(heads):
    for index, top in enumerate((10, 12)):
        write_mask(heads, index, square(top, side=9))
    write_mask(heads, 2, square(12, side=9))
    assert not check(heads).warnings
    write_mask(heads, 2, square(14, side=8))
    report = check(heads)
    assert report.is_sound and report.doubtful_masks.counts == {"mask_is_box": 3}
    assert count_doubtful([trace(case) for case in list_cases(heads)]) == report.doubtful_masks


def test_three_outlines_that_were_not_filled_are_named(heads):
    for index in range(3):
        write_mask(heads, index, square(13 + index, side=12) & ~square(14 + index, left=21, side=10))
        if index == 1:
            assert not check(heads).warnings
    report = check(heads)
    assert report.is_sound and report.doubtful_masks.counts == {"mask_is_outline": 3}
    assert count_doubtful([trace(case) for case in list_cases(heads)]) == report.doubtful_masks


@pytest.mark.parametrize("form", ["png", "rgba", "deep", "tif", "pages"])
def test_colors_of_several_classes_are_named(heads, form):
    """Red on the tumor and green on a ventricle are both tumor here, and nothing else tells them apart."""
    classes = np.zeros((SIDE, SIDE, 3), np.uint8)
    classes[square(15)], classes[square(28)] = (255, 0, 0), (0, 200, 0)
    path = heads / "anna" / f"a_0_mask.{'tif' if form in ('tif', 'pages') else 'png'}"
    (heads / "anna" / "a_0_mask.png").unlink()
    if form == "png":
        Image.fromarray(classes).save(path)
    elif form == "rgba":
        Image.fromarray(np.dstack([classes, 255 * classes.any(axis=2).astype(np.uint8)])).save(path)
    elif form == "deep":
        path.write_bytes(imagecodecs.png_encode(classes.astype(np.uint16) * 257))
    elif form == "tif":
        tifffile.imwrite(path, classes)
    else:
        tifffile.imwrite(path, np.moveaxis(classes, 2, 0), photometric="minisblack", metadata={"axes": "CYX"})
    loaded = load_case(list_cases(heads)[0])
    assert "mask_colors" in loaded.mask_codes and "mask_channel_dropped" not in loaded.mask_codes
    if form == "png":
        report = check(heads)
        assert ("mask_colors", "a_0_mask.png") in warnings_of(report) and report.doubtful_masks.counts[
            "mask_colors"
        ] == 1


def test_shades_of_one_color_and_gray_are_one_color(heads):
    smooth = np.zeros((SIDE, SIDE, 3), np.uint8)
    smooth[square(14, 19, 8)], smooth[square(15)] = (120, 0, 0), (255, 10, 0)
    Image.fromarray(smooth).save(heads / "anna" / "a_0_mask.png")
    Image.fromarray(np.dstack([square(16)] * 3).astype(np.uint8) * 255).save(heads / "anna" / "a_1_mask.png")
    red = np.where(square(13, side=9)[..., None], (237, 28, 36), 0).astype(np.uint8)
    (heads / "anna" / "a_2_mask.png").unlink()
    Image.fromarray(red).save(heads / "anna" / "a_2_mask.jpg", quality=90)
    assert not any("mask_colors" in load_case(case).mask_codes for case in list_cases(heads))
    red[square(25, side=9)] = (0, 200, 0)
    Image.fromarray(red).save(heads / "anna" / "a_2_mask.jpg", quality=90)
    assert "mask_colors" in load_case(list_cases(heads)[2]).mask_codes


def test_masks_that_are_mostly_exchanged_are_a_problem(heads, capsys):
    for index in range(4):
        write_mask(heads, index, ~square(15 + index))
    assert main(["check", str(heads)]) == 1
    output = capsys.readouterr().out
    assert "exchanged_masks: anna/a_0_mask.png\n    4 of 6 masks with tumor cover most of their slice" in output
    assert "sound" not in output


def test_masks_of_the_brain_are_no_tumors(heads):
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE // 2
    for index in range(3):
        write_mask(heads, index, np.hypot(rows, columns) < 18 - index)
    report = check(heads)
    assert report.is_sound and report.doubtful_masks.counts == {"mask_covers_head": 3}
    write_mask(heads, 3, np.hypot(rows, columns) < 15)
    problem = next(problem for problem in check(heads).problems if problem.code == "exchanged_masks")
    assert problem.message.startswith("4 of 6 masks with tumor cover most of the head")


def test_scans_in_the_place_of_most_masks_are_called_so(heads):
    for index in range(4):
        Image.fromarray(head(index + 9)).save(heads / "anna" / f"a_{index}_mask.png")
    problem = next(problem for problem in check(heads).problems if problem.code == "exchanged_masks")
    assert problem.message.startswith("4 of 6 masks with tumor look like scans")


def test_a_boolean_mask_of_tifffile_is_sound(heads):
    for index in range(6):
        (heads / "anna" / f"a_{index}_mask.png").unlink()
        tifffile.imwrite(heads / "anna" / f"a_{index}_mask.tif", square(15 + index))
    report = check(heads)
    assert report.is_sound and not report.warnings and report.analysis.tumor_pixel_share == pytest.approx(36 / SIDE**2)


def test_a_jpeg_mask_is_used_and_its_loss_is_named_once(heads, capsys):
    for index in range(6):
        mask = heads / "anna" / f"a_{index}_mask.png"
        Image.open(mask).convert("L").save(mask.with_suffix(".jpg"), quality=80)
        mask.unlink()
    assert all(np.array_equal(case.truth(), square(15 + index)) for index, case in enumerate(list_cases(heads)))
    assert main(["check", str(heads)]) == 0
    output = capsys.readouterr().out
    assert "lossy_mask: anna/a_0_mask.jpg, anna/a_1_mask.jpg, anna/a_2_mask.jpg and 3 more (all with --json)" in output
    assert output.count("stored with loss (JPEG or WebP)") == 1
    assert "can be used; 1 warning above" in output and "is sound" not in output


def test_of_two_masks_the_one_without_loss_is_used(patient_folders):
    draw_mask(20).convert("L").save(patient_folders / "anna" / "anna_0_mask.jpg")
    case = list_cases(patient_folders)[0]
    assert case.mask.name == "anna_0_mask.tif"
    assert [problem.code for problem in check(patient_folders).problems] == ["doubled_mask"]


def test_gray_jpeg_masks_are_unreadable(heads):
    (heads / "anna" / "a_0_mask.png").unlink()
    Image.fromarray(head(0)).save(heads / "anna" / "a_0_mask.jpg")
    (problem,) = check(heads).problems
    assert problem.code == "unreadable_mask" and "gray: export it again as PNG or TIFF" in problem.message


@pytest.mark.parametrize("is_in_pages", [False, True])
def test_a_channel_of_a_mask_that_is_dropped_is_named(heads, is_in_pages):
    (heads / "anna" / "a_0_mask.png").unlink()
    planes = np.stack([square(15), square(30)]).astype(np.uint8)
    options = {"metadata": {"axes": "CYX"}} if is_in_pages else {"planarconfig": "separate"}
    tifffile.imwrite(heads / "anna" / "a_0_mask.tif", planes, photometric="minisblack", **options)
    assert warnings_of(check(heads)) == [("mask_channel_dropped", "a_0_mask.tif")]


def test_an_orientation_of_the_image_alone_is_named(heads):
    exif = Image.Exif()
    exif[274] = 3
    path = heads / "anna" / "a_2.png"
    Image.open(path).save(path, exif=exif)
    (warning,) = check(heads).warnings
    assert (warning.code, warning.files) == ("mask_orientation", ("anna/a_2_mask.png",))
    loaded = load_case(list_cases(heads)[2])
    assert loaded.mask_codes == ("mask_orientation",)
    mask = heads / "anna" / "a_2_mask.png"
    Image.open(mask).save(mask, exif=exif)
    assert check(heads).warnings == ()


def test_a_mask_beside_the_head_and_a_scan_in_a_masks_place_are_named(heads):
    write_mask(heads, 0, square(38, 38, 8))  # at the lower right of the head
    noise = np.random.default_rng(5).integers(1, 250, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(noise * square(12, 12, 24)).save(heads / "anna" / "a_1_mask.png")
    found = warnings_of(check(heads))
    assert ("mask_mostly_outside", "a_0_mask.png") in found
    assert ("mask_is_picture", "a_1_mask.png") in found


@pytest.mark.parametrize("truth", [square(12, 12, 24), np.zeros((SIDE, SIDE), bool), np.ones((SIDE, SIDE), bool)])
def test_a_mask_of_booleans_is_told_of_as_the_same_of_bytes(truth):
    levels = truth.view(np.uint8)
    assert count_values(truth) == count_values(levels) == (len(np.unique(truth)), True)
    assert is_picture(truth) is is_picture(levels) is False
    assert digest_of_labels(truth) == digest_of_labels(levels)


def test_a_mark_near_a_corner_is_outside_the_head(heads):
    write_mask(heads, 0, square(15) | square(1, 1, 2))
    assert warnings_of(check(heads)) == [("mask_outside_head", "a_0_mask.png")]


def test_what_a_reader_drops_of_an_image_is_named(heads):
    (heads / "anna" / "a_0.png").unlink()
    two = np.dstack([head(0)[..., 0]] * 2)
    tifffile.imwrite(heads / "anna" / "a_0.tif", two, photometric="minisblack", planarconfig="contig")
    (warning,) = check(heads).warnings
    assert (warning.code, warning.files) == ("second_channel_dropped", ("anna/a_0.tif",))
    assert "the first was used and the second dropped" in warning.message


def test_an_evaluation_counts_what_the_check_counts(heads):
    write_mask(heads, 0, ~square(15))
    for index in (2, 4):
        write_mask(heads, index, square(16))
    write_mask(heads, 1, square(16))
    cases = list_cases(heads)
    traced = [trace(case) for case in cases]
    assert count_doubtful(traced) == check(heads).doubtful_masks
    assert count_doubtful([*traced, None]) == count_doubtful(traced)
    assert count_doubtful(traced).phrase == (
        "4 of 6 expert masks are doubtful (most of the slice covered: 1, a corner outside the head covered: 1,"
        " shared by three or more slices: 3)"
    )


def test_a_truth_of_polygons_is_judged_too(tmp_path):
    Image.fromarray(head(1)).save(tmp_path / "a.png")
    outline = (0.0, 0.0, 47.0, 0.0, 47.0, 47.0, 0.0, 47.0)
    case = Case("a", tmp_path / "a.png", None, (outline,), (SIDE, SIDE))
    assert trace(case).codes == ("mask_covers_slice", "mask_outside_head")


def test_a_set_whose_masks_all_are_empty_is_named(heads):
    for path in heads.glob("*/*_mask.png"):
        Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)
    assert [warning.code for warning in check(heads).warnings] == ["empty_masks"]


@pytest.mark.parametrize("ending", ["_roi", "_tumor", "-lesion", "_contour", "_m"])
def test_an_ending_that_masks_may_have_is_no_scan_beside_its_image(heads, ending):
    names = {case.image.name for case in find_layout(heads).cases}
    Image.open(heads / "anna" / "a_2.png").save(heads / "anna" / f"a_2{ending}.png")
    Image.open(heads / "anna" / "a_2.png").save(heads / "anna" / f"other{ending}.png")
    layout = find_layout(heads)
    assert {case.image.name for case in layout.cases} == {*names, f"other{ending}.png"}
    assert [problem.files for problem in layout.problems if problem.code == "mask_name"] == [(f"anna/a_2{ending}.png",)]
