"""Answers that are made while they are sent: zips of scans, and the history as a table."""

import codecs
import json
import unicodedata
from collections.abc import Generator, Sequence
from dataclasses import replace
from urllib.parse import quote

from flask import Response, copy_current_request_context, request

from webapp.context import resources
from webapp.domain.errors import NotFound, NotReady
from webapp.domain.resources import Resources
from webapp.domain.scans import agreement, history, lookup, measurements, result_zips
from webapp.domain.scans.history import LARGEST_LIMIT, HistoryFilter
from webapp.domain.scans.measurements import MeasurementSource
from webapp.domain.scans.result_zips import Content, Download, NoResult, Result
from webapp.schemas.history_table import table_rows
from webapp.schemas.measurements import dump_measurements, measurements_csv
from webapp.schemas.scans import dump_scan
from webapp.schemas.truth import dump_agreement

_LONGEST_NAME_BYTES, _KEPT_BYTES, _CUT = 255, 32, ".."


def zip_of_scan(scan_id: str, segmentation_id: str | None) -> Response:
    """All of one result. Raises NotFound, NotReady, TooManyDownloads, StorageUnavailable."""
    result = _result(scan_id, segmentation_id)
    return _answer(result_zips.scan_zip(resources(), result), "application/zip", f"{result.scan.stem}.zip")


def zip_of_scans(scan_ids: Sequence[str], content: Content, name: str) -> Response:
    """Several results, those that there are. Raises NotReady, TooManyDownloads."""

    @copy_current_request_context
    def read(scan_id: str) -> Result | NoResult:
        try:
            try:
                return _result(scan_id, None)
            except NotReady as error:
                with resources().database.read() as session:
                    return NoResult(lookup.get(session, scan_id).filename, error.message)
        except NotFound:  # of the second read, too
            return NoResult(scan_id, "This scan was deleted.")

    pieces = result_zips.scans_zip(resources(), scan_ids, read, content)
    return _answer(pieces, "application/zip", f"{name}-masks.zip" if content is Content.MASKS else f"{name}.zip")


def history_table(wanted: HistoryFilter, *, has_mark: bool) -> Response:
    """Every scan that the filter finds, in its order, as CSV. Raises InvalidInput, TooManyDownloads.

    has_mark: with a byte order mark, without which Excel takes UTF-8 for Windows' letters.
    """

    @copy_current_request_context
    def read(cursor: str) -> tuple[bytes, str | None]:
        with resources().database.read() as session:
            page = history.page(session, replace(wanted, limit=LARGEST_LIMIT, cursor=cursor))
            return table_rows(map(dump_scan, page.rows), with_head=not cursor), page.next_cursor

    def pieces() -> Generator[bytes, None, None]:
        cursor: str | None = ""
        if has_mark:
            yield codecs.BOM_UTF8
        while cursor is not None:
            rows, cursor = read(cursor)
            yield rows

    return _answer(pieces(), "text/csv", "history.csv")


def file_names(name: str) -> dict[str, str]:
    """The parameters of Content-Disposition that name a file, as Flask's `send_file` writes them (RFC 8187), the name
    no longer than a file's may be.

    Headers are ASCII: any other name has its letters without their accents, and whole in `filename*`.
    """
    name = fitting(name)
    if name.isascii():
        return {"filename": name}
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return {"filename": plain, "filename*": f"UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"}


def fitting(name: str) -> str:
    """A name of 255 bytes at most, as file systems have it: longer ones lose their middle, what was added stays."""
    data = name.encode()
    if len(data) <= _LONGEST_NAME_BYTES:
        return name
    end = data[-_KEPT_BYTES:].decode(errors="ignore")
    return f"{data[: _LONGEST_NAME_BYTES - _KEPT_BYTES - len(_CUT)].decode(errors='ignore')}{_CUT}{end}"


def _result(scan_id: str, segmentation_id: str | None) -> Result:
    services = resources()  # the tables are made when the request's context is gone
    with services.database.read() as session:
        scan = lookup.get(session, scan_id)
        run = lookup.finished_run(session, scan, segmentation_id)
        described = dump_scan(scan, run)
        measured = measurements.source(scan, run)
    found = agreement.measure(resources(), scan, run)
    return Result(scan, run, {**described, "agreement": dump_agreement(found)}, lambda: _tables(services, measured))


def _tables(services: Resources, wanted: MeasurementSource) -> dict[str, bytes]:
    described = dump_measurements(measurements.measure(services, wanted))
    return {
        "measurements.json": json.dumps(described, indent=2).encode(),
        "measurements.csv": measurements_csv(described),
    }


def _answer(pieces: Generator[bytes, None, None], mimetype: str, name: str) -> Response:
    # The head of an answer whose bytes, and so their number, nobody has made.
    body = iter(()) if request.method == "HEAD" else Download(pieces)
    response = Response(body, mimetype=mimetype)
    response.headers.set("Content-Disposition", "attachment", **file_names(name))
    response.headers["Cache-Control"] = "no-store"
    return response
