"""The plot of a follow-up, for its page and for the API."""

from ml.plots.course import CoursePoint, plot_course
from webapp.domain.errors import NotReady
from webapp.domain.scans.follow_up import FollowUp


def plot_of(found: FollowUp) -> str:
    """The SVG. Raises NotReady where no study has a date and a volume."""
    shown = [point for point in found.points if point.date and point.volume_ml is not None]
    if not shown:
        raise NotReady("No study of this patient has both a date and a volume yet.")
    joined = {(item.first.study.id, item.second.study.id) for item in found.changes if item.growth is not None}
    points, before = [], ""
    for point in shown:
        if point.date is None or point.volume_ml is None:
            continue
        is_joined = (before, point.study.id) in joined
        points.append(CoursePoint(point.date.middle, point.date.label, point.volume_ml, point.range_ml, is_joined))
        before = point.study.id
    return plot_course(points).render()
