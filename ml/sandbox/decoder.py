"""Decodes untrusted files in child processes and validates the arrays.

Whatever a file does to its child, the caller sees a ScanError. Importing this module loads neither numpy nor a reader.
"""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

from ml.sandbox.child import ChildLimits, wall_limit_s
from ml.sandbox.confinement import Access
from ml.sandbox.launcher import ChildDied, Sandbox
from ml.scans.scan import DamagedFile, ErrorCode, LeftOut, Limits, ScanError
from ml.scans.sequence import SequenceKind
from ml.scans.series_label import SeriesLabel
from ml.scans.stack import check_stack_file

if TYPE_CHECKING:
    from ml.volumes.grid import VolumeGrid

logger = logging.getLogger(__name__)

_ENTRY = "ml.sandbox.entries.decode"
# Files of a DICOM series that are read in the time of one: 30 ms each, on a machine that does something else as well.
FILES_IN_TIME = 100
_NPY_HEADER_BYTES = 4096  # more than NumPy writes
_LONGEST_DETAIL = 1000
_ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)


@dataclass(frozen=True)
class Decoded:
    """What is known of a scan whose pixels lie in the stack file: the fields of `Scan`, and its size in pixels.

    spacing_mm: of `Geometry.spacing_mm`. grid: the file's voxels, of a volume; None of pictures. sequence: what the
    header says, never its words. details, left_out: of `Scan`. names: of a DICOM series, those given without words
    that name a person there; empty where none is left.
    """

    format: str
    width: int
    height: int
    slice_count: int
    spacing_mm: tuple[float, float, float] | None
    warnings: tuple[str, ...]
    orientation: int = 1
    grid: VolumeGrid | None = None
    sequence: SequenceKind | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class SortedSeries:
    """DICOM files that are one scan.

    places: of its files among those that were sorted. label: what may be said of it. patient: a number from 0 that
    tells patients apart, and examinations, or folders, where the headers name none. digest, born, examination: of its
    patient, of that and the birth date, and of its study's UID, for pseudonyms, and never stored; empty where the
    header has none.
    """

    places: tuple[int, ...]
    label: SeriesLabel
    patient: int
    digest: str
    born: str
    examination: str

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Self:
        """Raises TypeError, ValueError, KeyError."""
        return cls(
            tuple(map(int, said["places"])),
            SeriesLabel.from_json(said["label"]),
            int(said["patient"]),
            str(said["digest"]),
            str(said["born"]),
            str(said["examination"]),
        )


@dataclass(frozen=True)
class SortedFiles:
    """DICOM files, by their places: the scans that they are, and those that are refused, which a `DamagedFile` is where
    it would have been one of a scan's."""

    series: tuple[SortedSeries, ...]
    refused: tuple[tuple[int, ScanError], ...]


@dataclass(frozen=True)
class DecodedMask:
    """What is known of an expert's mask whose bits lie in a stack file.

    codes, digests: of each slice, of `ml.datasets.mask_findings` (`codes_of_labels`, `digest_of_labels`); a child that
    its file took over may say anything.
    """

    width: int
    height: int
    slice_count: int
    codes: tuple[tuple[str, ...], ...]
    digests: tuple[str | None, ...]


class Decoder:
    """Decodes files in sandboxed child processes. Thread-safe; follows its owner through forks.

    limits: of headers and sizes. memory_bytes: address space of one child, all its libraries (190 MB) included.
    timeout_s: processor time of one decode, of each `FILES_IN_TIME` files of a series. wall_s: how long it may take
    by the clock; by default `wall_limit_s` of it.
    children: decodes at the same time; the others wait their turn.
    reader: "module:function" of `(path, limits) -> Scan`; another one only in tests of faults.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        memory_bytes: int = 2**30,
        timeout_s: float = 10.0,
        children: int = 4,
        *,
        wall_s: float | None = None,
        reader: str = "ml.scans:read_scan",
    ) -> None:
        self.limits = limits or Limits()
        self._timeout_s = timeout_s
        self._wall_s = wall_limit_s(timeout_s) if wall_s is None else wall_s
        self._reader = reader
        stack_bytes = 3 * self.limits.max_voxels + _NPY_HEADER_BYTES
        child_limits = ChildLimits.of_one_request(memory_bytes, stack_bytes, timeout_s, self._wall_s)
        self._sandbox = Sandbox(_ENTRY, child_limits, children, modules=[reader.partition(":")[0]])

    def decode(self, source: Path, stack: Path, *, spare_bytes: int = 0, volume: int | None = None) -> Decoded:
        """Decode `source` and write its pixels to `stack`: .npy, uint8 (N, H, W, 3).

        spare_bytes: what must stay free on the stack's disk beside the stack, and a map of it (a third as large).
        volume: of a file that holds several, the number from 1 of the one to read.

        Where it raises, `stack` does not exist. Raises ScanError for anything that is the file's fault or kills its
        child, and OSError (SandboxError) for our own faults: no room for the stack, no process to be had.
        """
        options = {"spare_bytes": spare_bytes, "reader": self._reader, "volume": volume}
        with self._asked(source, stack, options) as answer:
            return _read_scan(answer, stack)

    def decode_mask(
        self,
        source: Path,
        bits: Path,
        *,
        orientation: int,
        volume: tuple[Any, Sequence[int]] | None = None,
        regions: Sequence[str] = (),
    ) -> DecodedMask:
        """Decode an expert's mask, and write what is not background to `bits`: .npy, uint8 (N, H, bytes of a row), as
        `numpy.packbits` packs rows.

        orientation: the tag of the scan that it belongs to. volume: of a scan that is one, its `VolumeGrid.to_json` and
        the (slices, rows, columns) of its stack, onto which a mask is brought that says where it lies. regions:
        of a DICOM SEG or RTSTRUCT with several, the names of the tumor's; () where its own names tell. Raises as
        `decode`.
        """
        grid, shape = volume or (None, ())
        options = {"orientation": orientation, "grid": grid, "shape": list(shape), "regions": list(regions)}
        with self._asked(source, bits, options) as answer:
            return _read_mask(answer, bits)

    def sort_series(self, sources: Sequence[Path], folders: Sequence[str]) -> SortedFiles:
        """Which DICOM files are one scan. Raises as `decode`, without a file's own faults, which are in the answer.

        folders: in which they were sent, `/` between their parts: they tell whose a file is where no header does.
        """
        request: dict[str, Any] = {"sources": [str(source.resolve()) for source in sources], "folders": list(folders)}
        answer = self._run(request, Access.to(reads=sources), len(sources))
        return _read_sorted(answer, len(sources))

    def decode_series(
        self,
        sources: Sequence[Path],
        stack: Path,
        original: Path,
        *,
        names: Sequence[str] = (),
        volume: int | None = None,
        spare_bytes: int = 0,
    ) -> Decoded:
        """Decode DICOM files that are one scan, and write what is kept of them to `original`, a zip.

        volume: of a series with several pictures of each position, the number from 1 of the one to read.
        names: of the scan and what belongs to it, which come back without what the files' headers say of people.
        Raises as `decode`; where it raises, neither exists.
        """
        request: dict[str, Any] = {"sources": [str(source.resolve()) for source in sources]}
        request |= {"original": str(original.resolve()), "names": list(names), "volume": volume}
        try:
            access = _access(sources, stack, original)
            request |= {"stack": str(stack.resolve()), "spare_bytes": spare_bytes}
            decoded = _read_scan(self._run(request, access, len(sources)), stack, len(sources))
            if len(decoded.names) != len(names) or not all(map(_is_part, decoded.names, names)):
                raise _damaged()  # a child that its file took over
            return decoded
        except BaseException:
            stack.unlink(missing_ok=True)
            original.unlink(missing_ok=True)
            raise

    @contextmanager
    def _asked(self, source: Path, stack: Path, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """A child's answer, which the block checks against what it wrote; where either raises, `stack` is gone."""
        try:
            self.limits.check_bytes(source.stat().st_size)
            request = {"source": str(source.resolve()), "stack": str(stack.resolve()), **options}
            yield self._run(request, _access([source], stack))
        except BaseException:
            stack.unlink(missing_ok=True)
            raise

    def _run(self, request: dict[str, Any], access: Access, files: int = 1) -> dict[str, Any]:
        """A child's answer. files: how many it reads. Raises as `decode`."""
        times = min(-(-files // FILES_IN_TIME), 255)
        try:
            answer = self._sandbox.run({**request, "limits": asdict(self.limits)}, access, times)
        except ChildDied as death:
            raise self._explain(death, times) from None
        for code in _ERROR_CODES:
            if answer.get("code") == code:
                logger.info("file refused: %s (%s)", code, answer.get("cause"))
                raise ScanError(code, str(answer.get("message")), _read_left_out(answer.get("files"), files))
        return answer

    def warm_up(self) -> None:
        """Start the server now, so that the first decode does not wait for it (call after a fork, not before)."""
        self._sandbox.warm_up()

    def close(self) -> None:
        """End the server and its children. A later decode starts it again."""
        self._sandbox.close()

    @property
    def server_pid(self) -> int | None:
        """Process id of the server, None where none runs."""
        return self._sandbox.server_pid

    def _explain(self, death: ChildDied, times: int) -> ScanError:
        """The error of a child that gave no answer, by how it ended."""
        logger.warning("a decode child ended without an answer: %s", death)
        if death.is_timeout:
            what, remedy = ("the file", "it smaller or split it") if times == 1 else ("the files", "them fewer")
            limit = death.limit_in_words(times * self._timeout_s, times * self._wall_s)
            if death.is_still:
                return ScanError("limit", f"Decoding {what} met {limit}; try again, or export {what} anew.")
            if death.is_out_of_processor_time:
                return ScanError("limit", f"Decoding {what} takes longer than {limit}; make {remedy}.")
            busy = "try again when the machine is less busy"
            return ScanError("limit", f"Decoding {what} has not ended within {limit}; {busy}, or make {remedy}.")
        if death.is_out_of_memory:
            return ScanError("limit", "Decoding the file needs more memory than there is; make it smaller or split it.")
        return _damaged()


def _access(sources: Sequence[Path], *targets: Path) -> Access:
    """To read the one and write the other, which are made here: a child can make no file. Raises OSError."""
    for target in targets:
        target.touch()
    return Access.to(reads=sources, writes=targets)


def _is_part(name: str, given: str) -> bool:
    """Whether a name may be what is left of the given one, some of whose letters may be composed."""
    return len(name) <= len(given) and set(name) <= {*given, *unicodedata.normalize("NFC", given)}


def _read_sorted(answer: dict[str, Any], count: int) -> SortedFiles:
    """What a child said of DICOM files: each of them once. Raises ScanError."""
    try:
        series = tuple(map(SortedSeries.from_json, answer["series"]))
        reasons = [
            DamagedFile(str(message)) if is_damage else ScanError(code, str(message))
            for code, message, is_damage in answer["reasons"]
            if code in _ERROR_CODES
        ]
        refused = tuple((int(place), reasons[number]) for place, number in answer["refused"])
        named = sorted([place for one in series for place in one.places] + [place for place, _ in refused])
        if named != list(range(count)):
            raise ValueError("not each file once")
    except (TypeError, ValueError, KeyError, IndexError):
        raise _damaged() from None
    return SortedFiles(series, refused)


def _read_left_out(said: Any, count: int) -> tuple[LeftOut, ...]:
    """The files of `count` that a child left out, each once. Raises ScanError."""
    try:
        found = tuple(LeftOut(int(place), str(message)) for place, message in said or ())
    except (TypeError, ValueError):
        raise _damaged() from None
    places = [item.place for item in found]
    if len(set(places)) < len(places) or not all(0 <= place < count for place in places):
        raise _damaged()
    return found


def _read_scan(answer: dict[str, Any], stack: Path, files: int = 1) -> Decoded:
    """What a child said of a scan. files: how many it was given. Raises ScanError."""
    try:
        decoded = Decoded(**answer)
        if decoded.spacing_mm is not None:
            slice_mm, row_mm, column_mm = decoded.spacing_mm
            decoded = replace(decoded, spacing_mm=(slice_mm, row_mm, column_mm))
        decoded = replace(
            decoded,
            warnings=tuple(decoded.warnings),
            orientation=int(decoded.orientation),
            names=tuple(map(str, decoded.names)),
        )
        sequence = None if decoded.sequence is None else SequenceKind(decoded.sequence)
        decoded = replace(decoded, grid=_read_grid(decoded.grid), sequence=sequence)
        details = {str(code): str(words)[:_LONGEST_DETAIL] for code, words in dict(decoded.details).items()}
        decoded = replace(decoded, details=details, left_out=_read_left_out(decoded.left_out, files))
    except (TypeError, ValueError, KeyError):  # a child that its file took over may answer anything
        raise _damaged() from None
    check_stack_file(stack, (decoded.slice_count, decoded.height, decoded.width, 3))
    return decoded


def _read_mask(answer: dict[str, Any], bits: Path) -> DecodedMask:
    """What a child said of a mask. Raises ScanError."""
    try:
        decoded = DecodedMask(**answer)
        decoded = replace(
            decoded,
            codes=tuple(tuple(map(str, codes)) for codes in decoded.codes),
            digests=tuple(None if digest is None else str(digest) for digest in decoded.digests),
        )
        row_bytes = (decoded.width + 7) // 8
        if {len(decoded.codes), len(decoded.digests)} != {decoded.slice_count}:
            raise ValueError("not the codes and digests of each slice")
    except (TypeError, ValueError):
        raise _damaged() from None
    check_stack_file(bits, (decoded.slice_count, decoded.height, row_bytes))
    return decoded


def _read_grid(fields: Any) -> VolumeGrid | None:
    """Raises ValueError, TypeError or KeyError where a child answered nonsense."""
    if fields is None:
        return None
    from ml.volumes.grid import VolumeGrid  # NumPy: a process that sees no volume does not pay for it

    return VolumeGrid.from_json(fields)


def _damaged() -> ScanError:
    return ScanError("unreadable", "The file breaks its decoder, so it is damaged; export it again as PNG or TIFF.")
