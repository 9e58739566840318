"""The page of a follow-up: volume over time, what changed, and two dates side by side."""

from typing import Any

from flask import Blueprint, render_template, request

from webapp.context import resources
from webapp.domain.scans import follow_up, picture_frames, slice_pairs
from webapp.domain.scans.follow_up import FollowUp, Point
from webapp.domain.scans.images import default_slice
from webapp.schemas.fields import dump
from webapp.schemas.follow_up import dump_follow_up
from webapp.schemas.scans import dump_scan
from webapp.schemas.studies import StudySchema

bp = Blueprint("follow-up", __name__, url_prefix="/studies")


@bp.get("/<hex_id:study_id>/follow-up")
def show(study_id: str) -> str:
    """The studies of one patient over time."""
    with resources().database.read() as session:
        found = follow_up.of_study(resources(), session, study_id)
        study = next(point.study for point in found.points if point.study.id == study_id)
        shown = [point for point in found.points if point.scan is not None]
        first = _chosen(shown, request.args.get("first", ""), _ends(shown)[:1])
        others = [point for point in shown if point is not first]
        second = _chosen(others, request.args.get("second", ""), _ends(others)[-1:])
        context = {
            "study": dump(StudySchema, study),
            "follow_up": dump_follow_up(found),
            "choices": [(point.study.id, _title(point)) for point in shown],
            "pair": _pair(first, second) if first and second else None,
            "has_plot": _has_plot(found),
            "most_points": follow_up.MOST_POINTS,
        }
    return render_template("scans/follow_up.html", **context)


def _has_plot(found: FollowUp) -> bool:
    return any(point.date and point.volume_ml is not None for point in found.points)


def _ends(points: list[Point]) -> list[Point]:
    """Among these are the dates that are side by side where nobody chose: those with a volume, where there are any."""
    dated = [point for point in points if point.date]
    return [point for point in dated if point.volume_ml is not None] or dated or points


def _chosen(points: list[Point], study_id: str, default: list[Point]) -> Point | None:
    """The point of a study; one that nobody has is the default."""
    return next((point for point in points if point.study.id == study_id), next(iter(default), None))


def _title(point: Point) -> str:
    return f"{point.date.label}, {point.study.name}" if point.date else point.study.name


def _pair(first: Point, second: Point) -> dict[str, Any]:
    """Two dates side by side: the slice in view of the first, what lies beside it, and how that was found."""
    if first.scan is None or second.scan is None:
        return {}
    matched = slice_pairs.pair(first.scan, second.scan)
    most = first.scan.slice_count - 1
    index = request.args.get("slice", default_slice(first.scan, first.run), type=int)
    index = min(max(index, 0), most)
    beside = matched.seconds[index]
    frames = picture_frames.of_pair(first.scan, second.scan)
    return {
        "how": matched.how,
        "in_mm": frames[0].in_mm,
        "seconds": matched.seconds,
        "index": index,
        "most": most,
        "sides": [
            {**_side(first, index), "frame": frames[0]},
            {**_side(second, beside), "frame": frames[1]},
        ],
    }


def _side(point: Point, index: int | None) -> dict[str, Any]:
    scan, run = point.scan, point.run
    if scan is None or run is None:
        return {}
    channel = resources().catalog.flair_channel(run.model)
    address = f"/api/v1/scans/{scan.id}/overlay.png?segmentation={run.id}"
    return {
        "study": point.study.id,
        "title": _title(point),
        "scan": dump_scan(scan, run),
        "doubt": point.doubt,
        "slices": scan.slice_count,
        "index": index,
        "address": address if channel is None else f"{address}&channel={channel}",
    }
