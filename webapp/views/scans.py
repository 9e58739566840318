"""The history and the result page, and their forms."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from webapp import downloads
from webapp.context import form_threshold, resources, uploaded_files
from webapp.domain.database.orm import is_id
from webapp.domain.errors import Conflict, InvalidInput, NotFound, PortalError, UploadRejected
from webapp.domain.scans import agreement, gathering, lookup, measurements, segmentations, splitting, studies, truth
from webapp.domain.scans.grouping import Grouping
from webapp.domain.scans.images import default_slice
from webapp.domain.scans.result_zips import Content
from webapp.domain.scans.submission import (
    AllRejected,
    Rejected,
    RunOptions,
    UploadOptions,
    submit,
    submit_run,
    submit_truth,
)
from webapp.schemas import channels, labels, metrics
from webapp.schemas.fields import dump_all
from webapp.schemas.measurements import dump_measurements
from webapp.schemas.models import dump_model
from webapp.schemas.scan_requests import MOST_SELECTED
from webapp.schemas.scans import dump_scan
from webapp.schemas.segmentations import SegmentationSchema
from webapp.schemas.sequences import channel_names
from webapp.schemas.truth import dump_agreement
from webapp.schemas.uploads import LONGEST_REGION
from webapp.views import confirmation
from webapp.views.history import FILTERS, history_page
from webapp.views.planes import planes_view
from webapp.views.sequences import form_of

bp = Blueprint("scans", __name__, url_prefix="/scans")

STACK_MESSAGE = (
    "They become one scan, in the order of their names, with the experts' masks, and are read again as a stack; the"
    " single scans, with their runs and entered distances, are removed."
)
DELETE_MESSAGE = (
    "Pictures, results and the original file are removed, and scans of several sequences that were joined of them."
    " Evaluations that were made of them keep their copies of the slices until those are deleted, too. This is final."
)
SPLIT_MESSAGE = "Each file becomes a scan of its own and is segmented again; the stack, with its runs, is removed."

BULK_ACTIONS = ("delete", "rerun", "stack", "study")
NONE_SELECTED = f"Select 1 to {MOST_SELECTED} scans first."
# Notices travel in the session's cookie, of which browsers keep 4 kB.
MOST_NOTICES = 8
LONGEST_NOTICE_NAME = 60


@bp.get("")
def index() -> str:
    """The history; the URL holds the filters."""
    return history_page({name: request.args.get(name, "").strip() for name in FILTERS}, request.args.get("cursor", ""))


@bp.post("")
def upload() -> Response:
    """The drop zone's form, for browsers without scripts."""
    grouping = Grouping.AUTO if request.form.get("group") else Grouping.NONE
    study = request.form.get("study", "").strip() or None
    volume = request.form.get("volume", type=int)
    options = UploadOptions(request.form.get("model") or None, form_threshold(), grouping, study, volume)
    submitted = submit(resources(), uploaded_files("file"), options)
    _name_rejected(submitted.rejected)
    if len(submitted.scan_ids) == 1 and not submitted.rejected:
        return redirect(url_for("scans.show", scan_id=submitted.scan_ids[0]), 303)
    return redirect(url_for("home.show"), 303)


@bp.get("/<hex_id:scan_id>")
def show(scan_id: str) -> str:
    """The result of a scan, or how far it is."""
    chosen = request.args.get("segmentation") or None
    with resources().database.read() as session:
        scan = lookup.get(session, scan_id)
        runs = segmentations.runs(session, scan_id)
        shown = lookup.run(session, scan, chosen)
        newer, older = lookup.neighbors(session, scan)
        described = dump_scan(scan, shown)
        expert = truth.Truth.of(scan)
        described_runs = dump_all(SegmentationSchema, runs)
        index = request.args.get("slice", default_slice(scan, shown), type=int)
        sequences = form_of(session, scan.study_id)
        model = shown.model if shown else resources().catalog.default_name
    found = agreement.measure(resources(), scan, shown)
    measured = measurements.find(resources(), scan, shown)
    if not 0 <= index < scan.slice_count:
        abort(404)
    card = resources().catalog.readable_card(model)
    channel = channels.first_shown(card)
    return render_template(
        "scans/result.html",
        scan=described,
        truth_id=expert.id if expert else "",
        runs=described_runs,
        card=dump_model(resources().catalog.entry(model)) if card else None,
        agreement=dump_agreement(found),
        measurements=None if measured is None else dump_measurements(measured),
        metrics=metrics,
        sequence_names=labels.SEQUENCES,
        format_names=labels.FORMATS,
        sequences=sequences,
        thresholds=resources().catalog.thresholds(),
        slice_index=index,
        channels=channel_names(described, channels.names_of(card)),
        channel=channel,
        planes=planes_view(scan, shown, index, channel),
        pinned=chosen is not None,
        split_message=SPLIT_MESSAGE,
        newer_url=url_for("scans.show", scan_id=newer) if newer else None,
        older_url=url_for("scans.show", scan_id=older) if older else None,
    )


@bp.post("/<hex_id:scan_id>/segmentations")
def run_again(scan_id: str) -> Response:
    """Another threshold or another model."""
    submit_run(resources(), scan_id, RunOptions(request.form.get("model") or None, form_threshold()))
    return redirect(url_for("scans.show", scan_id=scan_id), 303)


@bp.post("/<hex_id:scan_id>/study")
def move(scan_id: str) -> Response:
    """Put the scan into the study of this name, or into none."""
    try:
        studies.move(resources(), scan_id, request.form.get("study", "").strip() or None)
    except InvalidInput as error:
        flash(error.message, "error")
    return redirect(url_for("scans.show", scan_id=scan_id), 303)


@bp.post("/<hex_id:scan_id>/split")
def split(scan_id: str) -> Response | str:
    """Keep the files of a stack apart, once it was asked about."""
    if not confirmation.is_confirmed():
        with resources().database.read() as session:
            name = lookup.get(session, scan_id).filename
        return confirmation.ask(
            "Make single scans of this stack?",
            SPLIT_MESSAGE,
            "Make single scans",
            action_url=url_for("scans.split", scan_id=scan_id),
            cancel_url=url_for("scans.show", scan_id=scan_id),
            names=[name],
        )
    try:
        made = splitting.split(resources(), scan_id)
    except PortalError as error:
        if error.status >= 500:
            raise
        flash(error.message, "error")
        return redirect(url_for("scans.index"), 303)
    flash(f"{len(made)} scans have taken the place of the stack.", "info")
    return redirect(url_for("scans.index"), 303)


@bp.post("/<hex_id:scan_id>/truth")
def set_truth(scan_id: str) -> Response:
    """The form of the expert's mask."""
    try:
        submit_truth(
            resources(), scan_id, uploaded_files("file"), seen=request.form.get("seen"), regions=_typed_region()
        )
    except AllRejected as error:
        _name_rejected(error.rejected)
    except (UploadRejected, Conflict) as error:
        flash(error.message, "error")
    return redirect(url_for("scans.show", scan_id=scan_id), 303)


def _typed_region() -> tuple[str, ...]:
    """The region that is the tumor, where one was entered."""
    name = request.form.get("region", "").strip()[:LONGEST_REGION]
    return (name,) if name else ()


@bp.post("/<hex_id:scan_id>/truth/delete")
def remove_truth(scan_id: str) -> Response | str:
    """Take the expert's mask away, once it was asked about."""
    back_url, seen = url_for("scans.show", scan_id=scan_id), request.form.get("seen")
    if not confirmation.is_confirmed():
        return confirmation.ask(
            "Take the expert's mask away?",
            "The mask is removed; the scan and its segmentations stay. This is final.",
            "Take it away",
            action_url=url_for("scans.remove_truth", scan_id=scan_id),
            cancel_url=back_url,
            fields=[] if seen is None else [("seen", seen)],
        )
    try:
        truth.remove(resources(), scan_id, seen)
    except Conflict as error:
        flash(error.message, "error")
    return redirect(back_url, 303)


@bp.post("/<hex_id:scan_id>/delete")
def delete(scan_id: str) -> Response | str:
    """Delete one scan, once it was asked about."""
    return _delete([scan_id], url_for("scans.delete", scan_id=scan_id), url_for("scans.show", scan_id=scan_id))


@bp.post("/bulk")
def bulk() -> Response | str:
    """Delete the selected scans, run them again, make a stack of them, or move them to a study."""
    chosen = _chosen()
    action, back_url = request.form.get("action", ""), _list_url(request.form.get("query", ""))
    if not chosen or action not in BULK_ACTIONS:
        flash(NONE_SELECTED, "error")
        return redirect(back_url, 303)
    if action == "delete":
        return _delete(chosen, url_for("scans.bulk"), back_url)
    if action == "stack":
        return _stack(chosen, back_url)
    if action == "rerun":
        model = resources().catalog.default_name
        count = _for_each(
            chosen, lambda scan_id: segmentations.request(resources(), scan_id, model=model, threshold=None)
        )
        flash(f"{count} {'scan is' if count == 1 else 'scans are'} queued again.", "info")
    else:
        name = request.form.get("study", "").strip() or None
        count = _for_each(chosen, lambda scan_id: studies.move(resources(), scan_id, name))
        place = f"in the study “{_shortened(name)}”" if name else "in no study"
        flash(f"{count} {'scan is' if count == 1 else 'scans are'} {place} now.", "info")
    return redirect(back_url, 303)


@bp.post("/download")
def download() -> Response:
    """The selected scans, or their masks, in one zip: a form, because there may be many."""
    chosen, content = _chosen(), request.form.get("content", "")
    try:
        if not chosen or content not in set(Content):
            raise InvalidInput(NONE_SELECTED)
        return downloads.zip_of_scans(chosen, Content(content), "scans")
    except PortalError as error:
        flash(error.message, "error")
        return redirect(_list_url(request.form.get("query", "")), 303)


def _chosen() -> list[str]:
    """The ids of the selected scans; none where they are too many."""
    chosen = [value for value in request.form.getlist("scan") if is_id(value)]
    return chosen if len(chosen) <= MOST_SELECTED else []


def _bulk_fields(action: str, scan_ids: list[str]) -> list[tuple[str, str]]:
    """The fields of the form of selected scans, for the page that asks about them."""
    return [("action", action), ("query", request.form.get("query", "")), *(("scan", scan_id) for scan_id in scan_ids)]


def _for_each(scan_ids: list[str], act: Callable[[str], object]) -> int:
    """Do something to every scan; how many it was done to. What went wrong becomes notices."""
    count, problems = 0, set()
    for scan_id in scan_ids:
        try:
            act(scan_id)
            count += 1
        except PortalError as error:
            problems.add(error.message)
    for problem in sorted(problems)[:MOST_NOTICES]:
        flash(problem, "error")
    return count


def _stack(scan_ids: list[str], cancel_url: str) -> Response | str:
    """Ask on a page of its own where nobody has confirmed yet; then make one stack."""
    if len(scan_ids) > 1 and not confirmation.is_confirmed():
        with resources().database.read() as session:
            names = lookup.filenames(session, scan_ids)
        return confirmation.ask(
            f"Make one stack of these {len(scan_ids)} scans?",
            STACK_MESSAGE,
            "Make one stack",
            action_url=url_for("scans.bulk"),
            cancel_url=cancel_url,
            names=names,
            fields=_bulk_fields("stack", scan_ids),
        )
    try:
        made = gathering.gather(resources(), scan_ids)
    except PortalError as error:
        if error.status >= 500:
            raise
        flash(error.message, "error")
        return redirect(cancel_url, 303)
    return redirect(url_for("scans.show", scan_id=made), 303)


def _delete(scan_ids: list[str], action_url: str, cancel_url: str) -> Response | str:
    """Ask on a page of its own where nobody has confirmed yet; then delete."""
    what = "this scan" if len(scan_ids) == 1 else f"these {len(scan_ids)} scans"
    if not confirmation.is_confirmed():
        with resources().database.read() as session:
            names = lookup.filenames(session, scan_ids)
        return confirmation.ask(
            f"Delete {what}?",
            DELETE_MESSAGE,
            "Delete",
            action_url=action_url,
            cancel_url=cancel_url,
            names=names,
            fields=_bulk_fields("delete", scan_ids),
        )
    count = 0
    for scan_id in scan_ids:
        try:
            count += len(lookup.delete(resources(), scan_id))
        except NotFound:
            continue  # it went with its part, or somebody was quicker
    flash(f"{count} {'scan' if count == 1 else 'scans'} deleted.", "info")
    return redirect(_list_url(request.form.get("query", "")), 303)


def _list_url(query: str) -> str:
    """The history under the filters of a query string; whatever else stands in there is dropped."""
    kept: dict[str, Any] = {name: value for name, value in parse_qsl(query[:2000]) if name in FILTERS}
    return url_for("scans.index", **kept)


def _name_rejected(rejected: Sequence[Rejected]) -> None:
    """A notice for each of the first files that were not taken, by name and sentence, and the number of the others."""
    for item in rejected[:MOST_NOTICES]:
        flash(f"{_shortened(item.filename)}: {item.message}", "error")
    if len(rejected) > MOST_NOTICES:
        flash(f"{len(rejected) - MOST_NOTICES} more files were not taken.", "error")


def _shortened(filename: str) -> str:
    """A file name as a notice shows it."""
    return filename if len(filename) <= LONGEST_NOTICE_NAME else f"{filename[: LONGEST_NOTICE_NAME - 1]}…"
