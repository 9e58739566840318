"""Unpack the archive of a data set (`ml.datasets.unpacking`)."""

import errno
from pathlib import Path
from typing import Any

from ml.datasets.archive import ArchiveError, ArchiveLimits, unpack


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Answer {"archive", "folder", "limits", "takes_all"}: {"files"}, or {"code", "message"}, or {"errno"}."""
    try:
        limits = ArchiveLimits(**request["limits"])
        files = unpack(Path(request["archive"]), Path(request["folder"]), limits, takes_all=request["takes_all"])
    except ArchiveError as error:
        return {"code": error.code, "message": error.message}, b""
    except MemoryError:
        return {"code": "limit", "message": "Reading the archive's list needs too much memory; split it."}, b""
    except OSError as error:
        return {"errno": error.errno or errno.EIO}, b""
    except Exception:  # noqa: BLE001 - see the package's docstring
        return {"code": "unreadable", "message": "The archive is damaged; make it again."}, b""
    return {"files": files}, b""
