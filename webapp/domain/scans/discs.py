"""A hospital's disc among the files of an upload: the pictures of its viewer are no scans; its images are DICOM.

The page knows discs by the same rule before it sends (static/js/scans/dicom.js); zips and programs come here.
"""

from collections.abc import Callable, Collection, Sequence

from ml.datasets.file_names import IMAGE_SUFFIXES, suffix_of

# How a disc's index is called, and nothing else (PS3.10 8.6).
_INDEX = "dicomdir"

OF_A_VIEWER = (
    "The picture lies in the folder of a DICOMDIR or below it, as those of a disc's viewer do; the disc's images are"
    " its DICOM files. If it is a scan, send it by itself."
)


def find_viewer_pictures(names: Sequence[str], is_dicom: Callable[[int], bool]) -> Collection[int]:
    """The places of pictures in the folder of a DICOMDIR, or below it, where DICOM images come with it.

    names: with their folders. is_dicom: whether the file of a place is; asked only where there is such an index.
    """
    indexes = {place for place, name in enumerate(names) if name.rpartition("/")[2].lower() == _INDEX}
    folders = [names[place][: -len(_INDEX)] for place in indexes]
    # Without a folder around it every file of the request would be of the disc.
    found = {
        place
        for place, name in enumerate(names)
        if suffix_of(name) in IMAGE_SUFFIXES and any(folder and name.startswith(folder) for folder in folders)
    }
    has_images = found and any(is_dicom(place) for place in range(len(names)) if place not in indexes | found)
    return found if has_images else ()
