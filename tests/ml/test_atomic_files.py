"""A file or folder of results is whole or not there, whatever ends its writer."""

from pathlib import Path

import pytest

from ml.atomic_files import fresh_file, fresh_folder, write_text


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_replaces_the_older_one_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    with fresh_file(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new" and _names(tmp_path) == ["result.json"]


def test_an_error_leaves_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")
    with pytest.raises(RuntimeError), fresh_file(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and _names(tmp_path) == ["result.json"]


def test_a_text_that_cannot_be_written_leaves_the_older_one(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    write_text(target, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(target, "half\ud800")
    assert target.read_text() == "old" and _names(tmp_path) == ["report.json"]


def test_two_that_write_one_file_at_once_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "status.json"
    with fresh_file(target) as first:
        first.write_text("first")
        with fresh_file(target) as second:
            second.write_text("second")
        assert target.read_text() == "second"
    assert target.read_text() == "first" and _names(tmp_path) == ["status.json"]


def test_a_folder_is_there_when_its_last_file_is(tmp_path: Path) -> None:
    target = tmp_path / "results"
    with fresh_folder(target) as folder:
        (folder / "figures").mkdir()
        (folder / "figures" / "one.svg").write_text("x")
        assert not target.exists() and folder.name == "results"
    assert (target / "figures" / "one.svg").read_text() == "x" and _names(tmp_path) == ["results"]


def test_an_error_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), fresh_folder(tmp_path / "results") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert _names(tmp_path) == []


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("is_file", [False, True])
def test_results_are_whole_beside_a_folder_that_appeared_meanwhile(
    tmp_path: Path, is_file: bool, is_late: bool
) -> None:
    target = tmp_path / "results"
    (tmp_path / "results-2").mkdir()
    with (
        pytest.raises(FileExistsError, match=r"appeared while this ran.* whole in .*results-3\."),
        fresh_folder(target, is_late=is_late) as folder,
    ):
        (folder / "report.json").write_text("new")
        other = target if is_file else target / "report.json"
        other.parent.mkdir(exist_ok=True)
        other.write_text("another's")
    assert (tmp_path / "results-3" / "report.json").read_text() == "new"
    assert other.read_text() == "another's" and _names(tmp_path) == ["results", "results-2", "results-3"]


def test_older_results_are_kept_unless_they_may_be_replaced(tmp_path: Path) -> None:
    target = tmp_path / "results"
    target.mkdir()
    (target / "old").write_text("x")
    with pytest.raises(FileExistsError, match="exists already"), fresh_folder(target):
        pass
    with fresh_folder(target, may_replace=True) as folder:
        (folder / "new").write_text("y")
    assert _names(target) == ["new"] and _names(tmp_path) == ["results"]
