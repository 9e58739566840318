"""Folders that an evaluation may read: a root that cannot be looked at is none."""

import os
from pathlib import Path

import pytest

from tests.support.resources import make_settings
from webapp.domain.errors import FolderRefused
from webapp.domain.evaluations import sources


def test_a_root_that_cannot_be_looked_at_is_left_out_and_the_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_root, closed = tmp_path / "open", tmp_path / "closed" / "root"
    for folder in (open_root / "set", closed):
        folder.mkdir(parents=True)
    settings = make_settings(tmp_path, GLIOSCOPE_EVALUATION_ROOTS=f"{closed}{os.pathsep}{open_root}")
    real = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:  # as for a user who may not search the folder above
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert sources.roots(settings) == (open_root,)
    assert [folder.path for folder in sources.browse(settings, None).folders] == [str(open_root)]
    assert sources.resolve(settings, str(open_root / "set")) == open_root / "set"
    with pytest.raises(FolderRefused):
        sources.resolve(settings, str(closed))
