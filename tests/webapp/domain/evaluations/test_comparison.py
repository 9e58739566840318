"""Which slices a comparison of two evaluations pools, on both databases."""

import pytest

from webapp.domain.database.orm import new_id
from webapp.domain.evaluations import comparison
from webapp.domain.evaluations.models import CaseOutcome, Evaluation, EvaluationCase, SourceKind
from webapp.domain.jobs.models import Status
from webapp.domain.resources import Resources

SHA = "a" * 64


def evaluation(
    resources: Resources, cases: list[tuple[str, str, tuple[int, int, int, int] | None]], **columns: str
) -> str:
    """A finished evaluation of (patient, sum of the image, counts of pixels or None: failed)."""
    evaluation_id = new_id()
    with resources.database.write() as session:
        session.add(
            Evaluation(
                id=evaluation_id,
                name="set",
                source=SourceKind.FOLDER,
                location="/set",
                model="m",
                threshold=0.5,
                min_tumor_pixels=0,
                status=Status.SUCCEEDED,
                has_truth=True,
                case_count=len(cases),
            )
        )
        session.flush()
        for position, (patient, sha256, pixels) in enumerate(cases):
            names = ("true_positive", "false_positive", "false_negative", "true_negative")
            session.add(
                EvaluationCase(
                    evaluation_id=evaluation_id,
                    position=position,
                    patient=patient,
                    image=f"{patient}/{position}.png",
                    image_sha256=sha256,
                    outcome=CaseOutcome.FAILED if pixels is None else CaseOutcome.FOUND,
                    **columns,
                    metrics=None if pixels is None else dict(zip(names, pixels, strict=True)),
                )
            )
    return evaluation_id


def test_only_slices_that_both_compared_with_the_same_truth_are_pooled(resources: Resources) -> None:
    good = (30, 10, 10, 950)
    first = evaluation(
        resources,
        [
            ("anna", SHA, good),
            ("anna", SHA, (0, 0, 500, 500)),  # failed in the second
            ("anna", SHA, (0, 0, 500, 500)),  # another image there
            ("anna", SHA, (0, 0, 500, 500)),  # another mask there
            ("ben", SHA, None),
            ("cleo", SHA, (0, 5, 0, 995)),  # no tumor
            ("anna", SHA, (0, 0, 500, 500)),  # not there
        ],
    )
    second = evaluation(
        resources,
        [
            ("anna", SHA, (40, 0, 0, 960)),
            ("anna", SHA, None),
            ("anna", "b" * 64, (500, 0, 0, 500)),
            ("anna", SHA, (400, 0, 0, 600)),
            ("ben", SHA, good),
            ("cleo", SHA, (0, 0, 0, 1000)),
        ],
    )
    with resources.database.read() as session:
        found = comparison.compare(session, first, second)
    assert (found.shared, found.compared, found.altered, found.failed, found.only_first) == (6, 2, 2, 2, 1)
    (pair,) = found.patients
    assert (pair.patient, pair.slices, pair.first, pair.second) == ("anna", 1, pytest.approx(0.75), 1.0)
    assert found.paired.pairs == 1 and found.paired.mean_difference == pytest.approx(0.25)


def test_what_slices_and_masks_show_is_compared_and_not_their_files(resources: Resources) -> None:
    """A mask of as many pixels at another place is another truth; an image stored anew is the same slice."""
    case = [("anna", SHA, (30, 10, 10, 950))]
    stored_anew = [("anna", "b" * 64, (30, 10, 10, 950))]
    first = evaluation(resources, case, pixels_sha256="1" * 64, truth_sha256="2" * 64)
    moved_mask = evaluation(resources, case, pixels_sha256="1" * 64, truth_sha256="3" * 64)
    same = evaluation(resources, stored_anew, pixels_sha256="1" * 64, truth_sha256="2" * 64)
    with resources.database.read() as session:
        assert comparison.compare(session, first, moved_mask).altered == 1
        found = comparison.compare(session, first, same)
    assert (found.altered, found.compared) == (0, 1)


def test_evaluations_of_one_name_are_told_apart(resources: Resources) -> None:
    """Two models on one data set, which names both: "set" was better than "set"."""
    case = [("anna", SHA, (30, 10, 10, 950))]
    first, second, other = (evaluation(resources, case) for _ in range(3))
    with resources.database.write() as session:
        session.get_one(Evaluation, second).model = "n"
        session.get_one(Evaluation, other).name = "another"

    with resources.database.read() as session:
        assert comparison.compare(session, first, second).names == ("set (m, 0.5)", "set (n, 0.5)")
        assert comparison.compare(session, first, other).names == ("set", "another")
        found = comparison.compare(session, first, second)
        assert "set (m, 0.5)" in comparison.plot(found) and "set (n, 0.5)" in comparison.plot(found)
        session.expunge(found.second)
        found.second.model = "m"
        assert found.names == ("set (m, 0.5), first", "set (m, 0.5), second")
