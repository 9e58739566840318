"""How the suite is dealt out to processes: a file at a time, the slow ones first, and on when a process dies."""

from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

# Markers of files that take long; what is dealt out last should be short, so that no process waits for another.
_SLOW = ("long", "data", "browser")
# Folders whose files share a portal, which takes a process of the suite 8 s of a processor to start and stop.
_ROOMS = ("tests/faults", "tests/browser")


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


def _room_of(file: str) -> str | None:
    """The folder of _ROOMS that a file lies in."""
    return folder if (folder := str(PurePosixPath(file).parent)) in _ROOMS else None


class FileScheduling(LoadFileScheduling):
    """`--dist loadfile`, but a process that dies costs the test it died in, and nothing else.

    Needed until pytest-xdist mends its issues 1323 and 1378: it deals out a dead process's finished files once more;
    one of them is no work, the process that gets it never answers, and the run hangs. It also runs the deadly test
    again and again. Without new processes (`--max-worker-restart=0`) the first death would end the whole run.

    A process goes on with the files of the room that it is in, and others stay out of it while they have other work: so
    that a room's portal is started once, and tests/faults, which waits for leases and restarts for two thirds of its
    time, waits beside processes that compute.
    """

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Give the process the first file of its own room, else of a room that nobody is in."""
        rooms = {other: _room_of(list(files)[-1]) for other, files in self.assigned_work.items() if files}
        own = rooms.pop(node, None)

        def rank(name: str) -> int:
            room = _room_of(name)
            return 0 if room is None or room not in rooms.values() else 1

        in_own = (name for name in self.workqueue if own is not None and _room_of(name) == own)
        name = next(in_own, None) or min(self.workqueue, key=rank)  # the first of equals
        self.workqueue.move_to_end(name, last=False)
        super()._assign_work_unit(node)

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
