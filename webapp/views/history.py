"""The page of the history: its filters, its scans, and the study whose scans are shown."""

from datetime import date
from itertools import groupby
from typing import Any, TypeVar

from flask import render_template, url_for

from webapp.context import resources
from webapp.domain.jobs.models import Status
from webapp.domain.scans import history, patients, studies
from webapp.domain.scans.history import SORTS, HistoryFilter
from webapp.domain.scans.models import Verdict
from webapp.domain.scans.tag_lines import line_of
from webapp.schemas.fields import dump
from webapp.schemas.scans import ScanSchema
from webapp.schemas.segmentations import LONGEST_ID
from webapp.schemas.studies import StudySchema
from webapp.schemas.warnings import WARNINGS
from webapp.views.sequences import form_of

FILTERS = ("q", "status", "verdict", "model", "study", "warning", "from", "to", "sort")
# What a row of templates/scans/history.html shows; a name that it asks for in vain is an error.
IN_A_ROW = (
    *("id", "filename", "slice_count", "series", "created_at", "study"),
    *(
        f"segmentation.{name}"
        for name in (
            *("id", "status", "error", "warnings", "verdict", "coverage_percent"),
            *("uncounted_pixels", "threshold", "model"),
        )
    ),
)
# The filter offers the newest ones; any other is found by its name.
MOST_STUDIES_SHOWN = 100
# The warning filter's word for all that put a verdict in question.
ANY_WARNING = "any"

Choice = TypeVar("Choice", Status, Verdict)


def history_page(
    args: dict[str, str], cursor: str = "", typed: dict[str, str] | None = None, problem: str | None = None
) -> str:
    """The list of scans under these filters, of one study with its name, tags and notes.

    typed, problem: what was written into the study's form and could not be saved, and why.
    """
    args = dict.fromkeys(FILTERS, "") | args
    wanted = _wanted(args, cursor)
    with resources().database.read() as session:
        page = history.page(session, wanted)
        rows = [dump(ScanSchema, scan, IN_A_ROW) for scan in page.rows]
        known = studies.page(session, limit=MOST_STUDIES_SHOWN).rows
        study = studies.find(session, args["study"])
        whose = patients.patient_of(session, study) if study else None
        context = {
            "match_count": history.count(session, wanted),
            "has_scans": bool(rows) or history.has_any(session),
            "study": dump(StudySchema, study) if study else None,
            "patient_problem": whose.problem if whose and whose.is_contradicted else None,
            "tags_line": line_of(study.tags) if study else "",
            "has_truth": bool(study and studies.scans_with_truth(session, study.id)),
            "sequences": form_of(session, study.id) if study else None,
            "studies": [(item.id, item.name) for item in {item.id: item for item in (*known, study) if item}.values()],
        }
    kept: dict[str, Any] = {name: value for name, value in args.items() if value}
    return render_template(
        "scans/history.html",
        groups=_groups(rows, wanted.sort),
        filters={**args, "sort": wanted.sort},
        is_filtered=any(value for name, value in args.items() if name != "sort"),
        models=resources().catalog.names(),
        verdicts=[verdict.value for verdict in Verdict],
        warnings=[(warning.code, warning.chip) for warning in WARNINGS.values() if warning.chip],
        sorts=[(sort.value, sort.label) for sort in SORTS],
        most_counted=history.MOST_COUNTED,
        next_url=url_for("scans.index", **kept, cursor=page.next_cursor) if page.next_cursor else None,
        first_url=url_for("scans.index", **kept) if wanted.cursor else None,
        table_url=_table_url(wanted),
        filter_problem=_problem(args, wanted.from_date, wanted.to_date),
        typed=typed,
        problem=problem,
        **context,
    )


def _wanted(args: dict[str, str], cursor: str) -> HistoryFilter:
    """What the filters understand of the address."""
    return HistoryFilter(
        query=args["q"][:255],
        status=_choice(Status, args["status"]),
        verdict=_choice(Verdict, args["verdict"]),
        model=args["model"][:100],
        study=args["study"],
        warnings=_warnings(args["warning"]),
        from_date=_day(args["from"]),
        to_date=_day(args["to"]),
        sort=args["sort"] if args["sort"] in {sort.value for sort in SORTS} else SORTS[0].value,
        cursor=cursor,
    )


def _table_url(wanted: HistoryFilter) -> str:
    """The same list as a table, for a spreadsheet; only what the filters understood is said."""
    said = {
        "q": wanted.query, "status": wanted.status, "verdict": wanted.verdict, "model": wanted.model,
        "study": wanted.study[:LONGEST_ID], "warning": list(wanted.warnings), "from": wanted.from_date,
        "to": wanted.to_date, "sort": wanted.sort, "bom": "true",
    }  # fmt: skip
    return url_for("api-scans.history_table", **{name: value for name, value in said.items() if value})  # type: ignore[arg-type]


def _groups(rows: list[dict[str, Any]], sort: str) -> list[tuple[dict[str, Any] | None, list[dict[str, Any]]]]:
    """Scans as the list shows them: of each study by itself in their order, else all at once under no heading."""
    if sort != "study":
        return [(None, rows)] if rows else []
    return [(study, list(scans)) for study, scans in groupby(rows, key=lambda scan: scan["study"])]


def _warnings(value: str) -> tuple[str, ...]:
    """The codes of a filter's value; one that nobody knows filters nothing."""
    if value == ANY_WARNING:
        return tuple(warning.code for warning in WARNINGS.values() if warning.tone == "warn")
    return (value,) if value in WARNINGS else ()


def _problem(args: dict[str, str], from_date: date | None, to_date: date | None) -> str | None:
    """What is wrong with the days that were given, in a sentence; a day that is none filters nothing."""
    for name, day in (("from", from_date), ("to", to_date)):
        if args[name] and day is None:
            return f"“{args[name][:40]}” is not a day; write it as 2026-11-30."
    if from_date is not None and to_date is not None and from_date > to_date:
        return "The first day is later than the last one, so no scan can match."
    return None


def _choice(choices: type[Choice], value: str) -> Choice | None:
    """A filter's value; one that is not among the choices filters nothing."""
    return choices(value) if value in {choice.value for choice in choices} else None


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return None
