"""Write a result as DICOM objects (`ml.exports.making`)."""

import errno
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ml.exports.common_modules import name_patient
from ml.exports.facts import Facts, Kind
from ml.exports.measurement_report import make_report
from ml.exports.segmentation_object import make_segmentation
from ml.exports.sources import NoSeries, Sources, read_sources
from ml.exports.structure_set import make_structure_set
from ml.scans import ScanError

warnings.simplefilter("ignore")  # they quote values


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"original", "mask", "targets", "facts"}: {"written": true}, {"code", "message"} or {"errno"}."""
    try:
        sources = read_sources(Path(request["original"]))
        mask = np.load(request["mask"], allow_pickle=False)
        facts = Facts(**request["facts"])
        name_patient(sources.datasets, facts)
        made = {target: _make(Kind(kind), sources, mask, facts) for kind, target in request["targets"].items()}
        for target, dataset in made.items():
            dataset.save_as(Path(target), enforce_file_format=True, overwrite=True)
    except NoSeries as error:
        return {"code": "no_series", "message": str(error)}, b""
    except ScanError as error:
        return {"code": "unreadable", "message": error.message}, b""
    except OSError as error:
        return {"errno": error.errno or errno.EIO}, b""
    except Exception:  # noqa: BLE001 - see the package's docstring
        text = "The series is of a variant that no object can refer to; download the NIfTI instead."
        return {"code": "unreadable", "message": text}, b""
    return {"written": True}, b""


def _make(kind: Kind, sources: Sources, mask: NDArray[np.uint8], facts: Facts) -> Dataset:
    """Raises ScanError where the mask is not on the series' voxels."""
    first = sources.datasets[0]
    if mask.shape != (len(sources.places), first.Rows, first.Columns):
        raise ScanError("unreadable", "What is stored of the series has other voxels than its result; send it again.")
    return _MAKERS[kind](sources, mask, facts)


_MAKERS: dict[Kind, Callable[[Sources, NDArray[np.uint8], Facts], Dataset]] = {
    Kind.SEGMENTATION: make_segmentation,
    Kind.MEASUREMENTS: make_report,
    Kind.RTSTRUCT: make_structure_set,
}
