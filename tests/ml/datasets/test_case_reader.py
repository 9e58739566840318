"""The reader of cases beside its children: what one of them cost is not paid again."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ml.datasets import find_layout
from ml.datasets.case_reader import ChunkReader, Digests, UnreadCase
from ml.sandbox.launcher import ChildDied, Conversation
from tests.support.volume_sets import write_brats


class Deadly:
    """A conversation whose children end without a word."""

    def __init__(self, *, is_still: bool = False) -> None:
        self.asked, self.is_still = 0, is_still

    def ask(self, _request: dict[str, Any]) -> dict[str, Any]:
        self.asked += 1
        raise ChildDied(None, is_expired=not self.is_still, is_still=self.is_still)

    def close(self) -> None:
        pass


def test_a_volume_that_hangs_its_reader_hangs_it_once(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write_brats(tmp_path, name, ends=("-t2f", "-seg"))
    cases = find_layout(tmp_path).cases
    conversation = Deadly()
    reader = ChunkReader(cast(Conversation, conversation))
    said = [reader.read(case, Digests()) for case in cases]
    assert all(isinstance(one, UnreadCase) and "longer than the limit" in one.message for one in said)
    assert conversation.asked == 2, "once a volume"
    picture = replace(cases[0], volume=None)
    for _ in range(2):
        reader.read(picture, Digests())
    assert conversation.asked == 4, "a picture is a file of its own"


def test_a_child_that_stood_still_has_one_more(tmp_path: Path) -> None:
    """A sound slice was lost to an evaluation on a busy machine, on which its reader was never woken."""
    write_brats(tmp_path, "P1", ends=("-t2f", "-seg"))
    [case, *_] = find_layout(tmp_path).cases
    conversation = Deadly(is_still=True)
    said = ChunkReader(cast(Conversation, conversation)).read(replace(case, volume=None), Digests())
    assert isinstance(said, UnreadCase) and "in which nothing moves" in said.message
    assert conversation.asked == 2


def test_volumes_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("P10", "P2", "P1"):
        write_brats(tmp_path, name, ends=("-t2f", "-seg"))
    assert list(dict.fromkeys(case.patient for case in find_layout(tmp_path).cases)) == ["P1", "P2", "P10"]
