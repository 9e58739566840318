"""TIFF: samples, stacks, spacing."""

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from ml.scans import Geometry, Limits, Scan, ScanError, read_scan
from tests.support import scan_files


@pytest.fixture
def read(tmp_path: Path):
    def read(pixels: np.ndarray, **options: object) -> Scan:
        path = tmp_path / "scan"
        path.write_bytes(scan_files.tiff(pixels, **options))
        return read_scan(path, Limits())

    return read


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True, "rowsperstrip": 7},
        {"compression": "packbits"},
        {"compression": "zstd"},
        {"tile": (16, 32), "compression": "zlib"},
        {"bigtiff": True},
        {"byteorder": ">"},
    ],
    ids=str,
)
def test_8_bit_is_taken_as_it_is_whatever_the_layout(read, options):
    colors = scan_files.noise(3)
    assert np.array_equal(read(colors, photometric="rgb", **options).pixels[0], colors)
    gray = scan_files.noise()
    assert np.array_equal(read(gray, **options).pixels[0, ..., 1], gray)


def test_separate_planes_are_the_same_as_interleaved(read):
    colors = scan_files.noise(3)
    planes = np.moveaxis(colors, -1, 0).copy()
    assert np.array_equal(read(planes, photometric="rgb", planarconfig="separate").pixels[0], colors)


def test_pages_are_slices_in_their_order(read):
    stack = np.stack([np.roll(scan_files.noise(3), k, axis=0) for k in range(7)])
    assert np.array_equal(read(stack, photometric="rgb").pixels, stack)


def test_16_bit_is_scaled_by_one_window_for_the_whole_stack(read):
    stack = np.stack([scan_files.noise(dtype="uint16") // 64 * (k + 1) // 4 for k in range(4)])
    scan = read(stack, photometric="minisblack")
    assert scan.warnings == ("intensity_scaled",)
    low, high = np.percentile(stack, (0.5, 99.5))
    expected = np.rint(np.clip((stack - low) / (high - low), 0, 1) * 255)
    assert np.abs(scan.pixels[..., 0] - expected).max() <= 1
    assert scan.pixels[0].max() < scan.pixels[3].max()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int16", "uint32", "int32"])
def test_other_types_are_scaled(read, dtype):
    pixels = (scan_files.noise().astype(np.float64) / 2 - 20).clip(0).astype(dtype)
    scan = read(pixels)
    assert scan.pixels.min() == 0
    assert scan.pixels.max() == 255
    order = np.argsort(pixels, axis=None, kind="stable")
    assert (np.diff(scan.pixels[0, ..., 0].reshape(-1)[order].astype(int)) >= 0).all()


def test_a_window_that_spans_all_floats_does_not_overflow(read):
    pixels = np.tile(np.array([[-1.7e308, 1.7e308]]), (20, 20))
    assert set(np.unique(read(pixels).pixels)) == {0, 255}


def test_nearly_empty_16_bit_slices_use_their_whole_range(read):
    pixels = np.zeros((100, 100), np.uint16)
    pixels[50, 50:60] = 500
    scan = read(pixels)
    assert (scan.pixels[0, 50, 50:60] == 255).all()
    assert scan.pixels[0].sum() == 10 * 3 * 255


def test_constant_16_bit_is_black_with_a_warning(read):
    scan = read(np.full((20, 20), 777, np.uint16))
    assert (scan.pixels == 0).all()
    assert scan.warnings == ("constant", "intensity_scaled")


def test_alpha_is_blended_with_black_unless_premultiplied(read):
    pixels = np.full((20, 20, 4), 200, np.uint8)
    pixels[..., 3] = 51
    straight = read(pixels, photometric="rgb", extrasamples=["unassalpha"])
    assert (straight.pixels == 40).all()
    assert "alpha_removed" in straight.warnings
    assert (read(pixels, photometric="rgb", extrasamples=["assocalpha"]).pixels == 200).all()
    assert (read(pixels, photometric="rgb", extrasamples=["unspecified"]).pixels == 200).all()


def test_cmyk_is_converted_without_a_profile(read):
    inks = np.zeros((20, 20, 4), np.uint8)
    inks[..., 0], inks[..., 3] = 255, 51
    scan = read(inks, photometric="separated")
    assert "cmyk_converted" in scan.warnings
    assert scan.pixels[0, 0, 0].tolist() == [0, 204, 204]


def test_a_palette_becomes_its_colors(read):
    table = np.random.default_rng(3).integers(0, 2**16, (3, 256), np.uint16)
    indices = scan_files.noise()
    assert np.array_equal(
        read(indices, photometric="palette", colormap=table).pixels[0], (table >> 8).T[indices].astype(np.uint8)
    )


def test_white_is_zero_is_turned_round(read):
    gray = scan_files.noise()
    assert np.array_equal(read(gray, photometric="miniswhite").pixels[0, ..., 0], 255 - gray)


def test_two_levels_are_black_and_white(read):
    pixels = scan_files.noise() > 100
    assert np.array_equal(read(pixels, photometric="minisblack").pixels[0, ..., 0], pixels * np.uint8(255))


def test_the_orientation_tag_turns_pixels(read):
    gray = scan_files.noise()
    pixels = read(gray, extratags=[(274, 3, 1, 6, True)]).pixels
    assert np.array_equal(pixels[0, ..., 0], np.rot90(gray, -1))


def test_a_tiff_of_pillow_is_read(tmp_path):
    path = tmp_path / "scan"
    pixels = scan_files.noise(3)
    Image.fromarray(pixels).save(path, "tiff", compression="tiff_lzw")
    assert np.array_equal(read_scan(path, Limits()).pixels[0], pixels)


def test_imagej_states_millimeters(read):
    stack = np.stack([scan_files.noise()] * 4)
    scan = read(stack, imagej=True, resolution=(2.0, 4.0), metadata={"unit": "mm", "spacing": 5.0, "axes": "ZYX"})
    assert scan.geometry == Geometry(row_mm=0.25, column_mm=0.5, slice_mm=5.0)


def test_imagej_micrometers_are_converted(read):
    scan = read(scan_files.noise(), imagej=True, resolution=(1 / 900, 1 / 900), metadata={"unit": "micron"})
    assert scan.geometry == Geometry(row_mm=0.9, column_mm=0.9, slice_mm=None)


def test_orientation_that_turns_a_scan_exchanges_the_distances_of_rows_and_columns(read):
    options = {"imagej": True, "resolution": (2.0, 4.0), "metadata": {"unit": "mm"}}
    upright, turned = (
        read(scan_files.noise(), **options),
        read(scan_files.noise(), extratags=[(274, 3, 1, 6, True)], **options),
    )
    assert upright.geometry == Geometry(row_mm=0.25, column_mm=0.5, slice_mm=None)
    assert turned.geometry == Geometry(row_mm=0.5, column_mm=0.25, slice_mm=None)
    assert upright.geometry.spacing_mm == (0.0, 0.25, 0.5)


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": (72, 72), "resolutionunit": "INCH"},
        {"resolution": (10, 10), "resolutionunit": "CENTIMETER"},
        {"imagej": True, "resolution": (1, 1)},
        {"imagej": True, "resolution": (1, 1), "metadata": {"unit": "inch"}},
        {"imagej": True, "resolution": (1000, 1000), "metadata": {"unit": "mm"}},
    ],
    ids=["dpi", "per centimeter", "no unit", "inch", "implausible"],
)
def test_no_millimeters_where_the_file_does_not_truly_state_them(read, options):
    assert read(scan_files.noise(), **options).geometry is None


def test_an_imagej_stack_without_slice_distance_has_no_spacing(read):
    stack = np.stack([scan_files.noise()] * 4)
    assert read(stack, imagej=True, resolution=(1, 1), metadata={"unit": "mm", "axes": "ZYX"}).geometry is None


def test_an_imagej_hyperstack_of_three_channels_is_a_color_stack(read):
    stack = np.stack([np.roll(scan_files.noise(3), k, axis=0) for k in range(4)])
    pixels = read(np.moveaxis(stack, -1, 1).copy(), imagej=True, metadata={"axes": "ZCYX"}).pixels
    assert np.array_equal(pixels, stack)


def test_large_pages_of_64_bit_floats_fit_into_the_memory_of_a_child(decode):
    pixels = np.tile(np.linspace(0, 1, 2048), (2048, 1))
    assert decode(scan_files.tiff(pixels)).width == 2048


def test_a_stack_with_one_damaged_page_is_refused_as_a_whole(refuse):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for _ in range(3):
            writer.write(scan_files.noise(), compression="zlib", contiguous=False)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as written:
        offset = written.pages[1].dataoffsets[0]
    data = bytearray(file.getvalue())
    data[offset + 20] ^= 0xFF
    assert refuse(bytes(data)).code == "unreadable"


def color_stack(count=4, channels=3):
    """(count, channels, H, W)"""
    stack = np.stack([np.roll(scan_files.noise(channels), k, axis=0) for k in range(count)])
    return np.moveaxis(stack, -1, 1).copy()


AXES_WRITERS = {
    "tifffile": {},
    "ImageJ": {"imagej": True},
    "OME": {"ome": True},
}


@pytest.mark.parametrize("writer", AXES_WRITERS)
def test_three_channels_are_one_slice_whoever_states_them(read, writer):
    options = {**AXES_WRITERS[writer], "photometric": "minisblack"}
    stack = color_stack()
    scan = read(stack, metadata={"axes": "ZCYX"}, **options)
    assert np.array_equal(scan.pixels, np.moveaxis(stack, 1, -1)) and "second_channel_dropped" not in scan.warnings
    single = read(stack[0], metadata={"axes": "CYX"}, **options)
    assert np.array_equal(single.pixels[0], np.moveaxis(stack[0], 0, -1))


@pytest.mark.parametrize("writer", ["tifffile", "OME"])
def test_channels_that_are_the_slowest_axis_are_channels_too(read, writer):
    stack = color_stack()
    scan = read(
        np.moveaxis(stack, 0, 1).copy(), metadata={"axes": "CZYX"}, photometric="minisblack", **AXES_WRITERS[writer]
    )
    assert np.array_equal(scan.pixels, np.moveaxis(stack, 1, -1))


@pytest.mark.parametrize("writer", AXES_WRITERS)
@pytest.mark.parametrize(("channels", "used", "code"), [(2, 1, "second"), (4, 3, "fourth")])
def test_of_two_and_four_channels_it_is_said_what_is_dropped(read, writer, channels, used, code):
    stack = color_stack(3, channels)
    scan = read(stack, metadata={"axes": "ZCYX"}, photometric="minisblack", **AXES_WRITERS[writer])
    assert scan.warnings == (f"{code}_channel_dropped",)
    assert np.array_equal(scan.pixels, np.broadcast_to(np.moveaxis(stack[:, :used], 1, -1), scan.pixels.shape))


@pytest.mark.parametrize(
    "metadata",
    [{"axes": "ZYX"}, {"axes": "TYX"}, {"axes": "QYX"}, {}, None],
    ids=str,
)
def test_pages_that_are_no_channels_stay_slices(read, metadata):
    stack = np.stack([scan_files.noise()] * 3)
    assert len(read(stack, metadata=metadata, photometric="minisblack").pixels) == 3


def test_of_more_than_four_channels_each_is_a_slice(read):
    scan = read(color_stack(1, 6)[0], metadata={"axes": "CYX"}, photometric="minisblack")
    assert len(scan.pixels) == 6 and scan.warnings == ()


@pytest.mark.parametrize(
    "description",
    [
        '{"shape": [2, 3, 40, 48], "axes": "ZCYX"}',
        '{"shape": "x", "axes": "CYX"}',
        '{"shape": [3, 40, 48], "axes": "CCYX"}',
        '{"axes": 1}',
        "{" * 9999,
        '<OME><Pixels DimensionOrder="XYCZT" SizeC="3" SizeZ="9" SizeT="1"/></OME>',
        '<OME><Pixels DimensionOrder="XYCCC" SizeC="3" SizeZ="1" SizeT="1"/></OME>',
        '<OME><Pixels DimensionOrder="XYCZT" SizeC="3"/></OME>',
        "ImageJ=1\nchannels=0",
        "ImageJ=1\nchannels=99999999999999999999",
    ],
)
def test_axes_that_cannot_be_true_are_not_believed(read, description):
    stack = np.stack([scan_files.noise()] * 3)
    assert len(read(stack, metadata=None, description=description, photometric="minisblack").pixels) == 3


def test_samples_of_two_and_four_channels_say_what_is_dropped(read):
    two = read(scan_files.noise(2), photometric="minisblack", planarconfig="contig")
    assert two.warnings == ("second_channel_dropped",)
    assert np.array_equal(two.pixels[0, ..., 0], scan_files.noise(2)[..., 0])
    four = read(scan_files.noise(4), photometric="minisblack", planarconfig="contig")
    assert four.warnings == ("fourth_channel_dropped",) and np.array_equal(four.pixels[0], scan_files.noise(4)[..., :3])
    extra = read(scan_files.noise(4), photometric="rgb", extrasamples=["unspecified"])
    assert extra.warnings == ("fourth_channel_dropped",)
    opaque = np.dstack([scan_files.noise(3), np.full((scan_files.HEIGHT, scan_files.WIDTH), 255, np.uint8)])
    assert read(opaque, photometric="rgb", extrasamples=["unassalpha"]).warnings == ()
    deep = opaque.astype(np.float32)
    assert "fourth_channel_dropped" in read(deep, photometric="rgb", extrasamples=["unassalpha"]).warnings


@pytest.mark.parametrize("is_first", [False, True])
def test_a_preview_page_is_no_slice(tmp_path, is_first):
    pixels, preview = scan_files.noise(3), np.ascontiguousarray(scan_files.noise(3)[::4, ::4])
    path = tmp_path / "scan"
    with tifffile.TiffWriter(path) as writer:
        for is_preview in (True, False) if is_first else (False, True):
            writer.write(preview if is_preview else pixels, photometric="rgb", subfiletype=int(is_preview))
    scan = read_scan(path, Limits())
    assert np.array_equal(scan.pixels[0], pixels) and len(scan.pixels) == 1


def test_a_stack_whose_pages_all_say_to_be_previews_is_a_stack(tmp_path):
    path = tmp_path / "scan"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(scan_files.noise(), subfiletype=1, contiguous=False)
    assert len(read_scan(path, Limits()).pixels) == 3


def test_a_boolean_stack_of_tifffile_is_what_its_array_was(read):
    stack = np.stack([np.roll(scan_files.noise() > 100, k, axis=0) for k in range(3)])
    assert np.array_equal(read(stack).pixels[..., 0], stack * np.uint8(255))


@pytest.mark.parametrize("options", [{}, {"imagej": True}], ids=["tifffile", "ImageJ"])
def test_a_stack_behind_a_single_page_does_not_pass_for_one_slice(tmp_path, options):
    path = tmp_path / "scan"
    stack = np.stack([np.roll(scan_files.noise(), k, axis=0) for k in range(5)])
    tifffile.imwrite(path, stack, truncate=True, **options)
    with pytest.raises(ScanError, match="holds 5 pictures and has pages for 1 of them"):
        read_scan(path, Limits())
    tifffile.imwrite(path, stack, **options)
    assert np.array_equal(read_scan(path, Limits()).pixels[..., 0], stack)
    with tifffile.TiffFile(path) as file:  # one slice, cut out by a program that keeps descriptions
        tifffile.imwrite(tmp_path / "one", stack[2], description=file.pages[0].description, metadata=None)
    assert np.array_equal(read_scan(tmp_path / "one", Limits()).pixels[0, ..., 0], stack[2])
