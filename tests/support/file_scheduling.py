"""How the suite is dealt out to processes: a file at a time, the slow ones first, and on when a process dies."""

from collections.abc import Iterable

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# Markers of files that take long; what is dealt out last should be short, so that no process waits for another.
_SLOW = ("long", "data", "browser")


def slow_files_first(items: list[pytest.Item]) -> None:
    """Sort whole files, in place: by their slowest marker, else as they were collected."""
    rank: dict[str, int] = {}
    for item in items:
        path = _file_of(item.nodeid)
        rank[path] = min(rank.get(path, len(_SLOW)), _rank(item.iter_markers()))
    items.sort(key=lambda item: rank[_file_of(item.nodeid)])


def _rank(markers: Iterable[pytest.Mark]) -> int:
    return min((_SLOW.index(mark.name) for mark in markers if mark.name in _SLOW), default=len(_SLOW))


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


class FileScheduling(LoadFileScheduling):
    """`--dist loadfile`, but a process that dies costs the test it died in, and nothing else.

    pytest-xdist 3.8 deals out a dead process's finished files once more; one of them is no work, the process that gets
    it never answers, and the run hangs. It also runs the deadly test again and again.
    """

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a process out; returns the test that it died in, None where it had nothing left to do."""
        files = self.assigned_work.pop(node)
        died_in = next((test for file in files.values() for test, is_done in file.items() if not is_done), None)
        for name, file in files.items():
            if died_in in file:
                file[died_in] = True
            if not all(file.values()):
                self.workqueue[name] = file
                self.workqueue.move_to_end(name, last=False)
        for other in self.assigned_work:
            self._reschedule(other)
        return died_in

    def _reschedule(self, node: WorkerController) -> None:
        """Deal until the process has three tests or nothing is left: it begins a test when it knows the next one."""
        while not node.shutting_down and self._pending_of(self.assigned_work[node]) <= 2:
            super()._reschedule(node)
