"""The first chunk of an evaluation: list its cases, read every file once in a sandbox, store what was found."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ml.datasets.case import Case, DatasetError
from ml.datasets.checking.check import CheckResult, check_layout
from ml.datasets.checking.file_checks import FileCheck
from ml.datasets.checking.problems import LEFT_OUT, Problem
from ml.datasets.file_names import is_text, shown
from ml.datasets.layouts.annotation_files import AnnotationsError
from ml.datasets.layouts.layout import Layout
from ml.datasets.layouts.search import find_layout
from ml.datasets.layouts.tree import LinkOutError, Tree
from ml.datasets.layouts.unknown import UnknownLayoutError, say_twins
from ml.evaluation.cases import in_reading_order
from webapp.domain.evaluations import chunks
from webapp.domain.evaluations.chunks import ChunkInput
from webapp.domain.evaluations.manifest import ListedCase, listed
from webapp.domain.evaluations.sources import is_inside
from webapp.domain.jobs.kinds import ClaimedJob
from webapp.domain.storage.arrays import write_bytes
from webapp.domain.storage.keys import findings_key
from worker.jobs.lease import Lease
from worker.jobs.step import JobFailed, StepAside
from worker.process.runtime import Runtime

# Problems in the row, for the page; all of them are in storage.
PROBLEMS_SHOWN = 100
REPORT_EVERY_S = 1.0
# To ask whether an upload waits takes less than a thousandth of a second.
STEP_ASIDE_EVERY_S = 0.05

NO_DATA_SET = "There is no data set in a layout that is known."
BAD_ANNOTATIONS = "Reading the annotations needs more memory than there is; split the data set."
LINK_OUT = "A folder or the annotations are a link that leads out of the allowed roots; copy what it leads to."
OUTSIDE = "{name} is a link that leads out of the allowed roots; copy the file itself."


def run_check(runtime: Runtime, job: ClaimedJob[ChunkInput], lease: Lease, step_aside: StepAside) -> None:
    """Check the data set and make its chunks. Raises JobFailed where there is none, LeaseLost, StorageFull."""
    resources, claim, work = runtime.resources, job.claim, job.input
    folder = work.folder
    if folder is None:
        raise JobFailed("folder_refused", work.refusal)
    layout = _find(folder, work.boundaries)
    if work.data_folder is not None and _is_its_patient(work.data_folder, layout):
        inner = _find(work.data_folder, work.boundaries)
        layout = inner if inner.has_truth else layout
    refusals = {case.image: refusal for case in layout.cases if (refusal := _refusal(case, work.boundaries))}
    readable = tuple(case for case in layout.cases if case.image not in refusals)

    def follow(file_checks: Iterable[FileCheck], total: int) -> Iterator[FileCheck]:
        written_at = asked_at = time.monotonic()
        for index, file_check in enumerate(file_checks):
            if time.monotonic() - written_at > REPORT_EVERY_S:
                lease.check()
                chunks.count_checked(resources, claim, work, checked=index, total=total)
                written_at = time.monotonic()
            if time.monotonic() - asked_at > STEP_ASIDE_EVERY_S:
                step_aside()
                asked_at = time.monotonic()
            yield file_check

    layout_read = replace(layout, cases=readable)
    result = check_layout(layout_read, follow, check_files=runtime.file_checker.check)
    seen = zip(result.file_checks, result.mask_codes, strict=True)
    cases, has_truth = _list(layout, refusals, dict(zip(readable, seen, strict=True)))
    lease.check()
    findings = _describe(result, layout, refusals)
    key = findings_key(work.evaluation_id, claim.attempt)
    write_bytes(resources.storage, key, json.dumps(findings, indent=1).encode())
    first = {name: findings[name][:PROBLEMS_SHOWN] for name in ("problems", "warnings")}
    shown_findings = {**findings, **first, "attempt": claim.attempt}
    lease.commit(
        lambda: chunks.complete_check(
            resources,
            claim,
            work,
            cases,
            keeps_patients=resources.catalog.card(work.model).sees_stacks,
            data_folder=layout.folder.relative_to(folder).as_posix(),
            has_truth=has_truth,
            findings=shown_findings,
        ),
        stored=key,
    )


def _find(folder: Path, boundaries: tuple[Path, ...]) -> Layout:
    """The layout of the folder, or of the one in it, as archives have it. Raises JobFailed.

    Without masks all its images are scans: two folders of which one has the masks of the other are refused.
    """

    def is_allowed(path: Path) -> bool:
        return is_inside(path, boundaries)

    try:
        layout = find_layout(folder, is_allowed)
        if not layout.has_truth and not layout.volumes:
            images = {case.image for case in layout.cases}
            if twins := say_twins(Tree(is_allowed), folder, images):
                raise JobFailed("no_images", f"{NO_DATA_SET}{twins}")
    except OSError as error:
        raise JobFailed("unreadable", "The folder cannot be read; change its permissions.") from error
    except LinkOutError as error:
        raise JobFailed("outside_roots", LINK_OUT) from error
    except AnnotationsError as error:
        raise JobFailed("bad_annotations", shown(error.finding)) from error
    except MemoryError as error:
        raise JobFailed("bad_annotations", BAD_ANNOTATIONS) from error
    except UnknownLayoutError as error:
        raise JobFailed("no_images", f"{NO_DATA_SET} {error.finding}") from error
    except DatasetError as error:  # no folder any more
        raise JobFailed("no_images", NO_DATA_SET) from error
    if not is_text(str(layout.folder)):
        raise JobFailed("bad_name", "The folder of the data set has a name that is not UTF-8; rename it.")
    return layout


def _is_its_patient(wrapper: Path, layout: Layout) -> bool:
    """Whether the folder that an archive has around all its files is the one patient of slices with masks.

    By itself it may be none: its slices are counted then as the commands count them, who are given that very folder.
    """
    is_alone = {case.patient for case in layout.cases} == {wrapper.name}
    return is_alone and layout.has_truth and not layout.volumes and layout.folder == wrapper.parent


def _refusal(case: Case, boundaries: tuple[Path, ...]) -> tuple[str, str] | None:
    """Code and sentence for a case whose files must not be opened; None where they may."""
    for path in case.files:
        if not is_inside(path, boundaries):
            return "outside_roots", OUTSIDE.format(name=shown(f"{case.patient}/{path.name}"))
    return None


def _list(
    layout: Layout, refusals: dict[Path, tuple[str, str]], observed: dict[Case, tuple[FileCheck, tuple[str, ...]]]
) -> tuple[list[ListedCase], bool]:
    """The cases to evaluate, in the order of `python -m ml evaluate`, and whether they have masks."""
    has_truth = layout.has_truth
    cases = []
    for position, case in enumerate(in_reading_order(c for c in layout.cases if c.has_truth or not has_truth)):
        refusal = refusals.get(case.image) or (case.fault and (case.fault.code, case.fault.message))
        if refusal:
            name = shown(case.image.relative_to(layout.folder).as_posix())
            code, message = refusal
            cases.append(ListedCase(position, shown(case.patient), name, refusal=message, refusal_code=code))
            continue
        seen, mask_codes = observed[case]
        sums = {"image_sha256": seen.image_sha256, "mask_sha256": seen.mask_sha256}
        cases.append(listed(position, case, layout.folder, mask_codes, **sums))
    return cases, has_truth


def _describe(result: CheckResult, layout: Layout, refusals: dict[Path, tuple[str, str]]) -> dict[str, Any]:
    """Plain JSON values: everything that the check found."""
    report = result.report
    refused = [
        Problem(code, (shown(image.relative_to(layout.base).as_posix()),), message)
        for image, (code, message) in refusals.items()
    ]
    problems = [*report.problems, *refused]
    warnings = report.warnings
    return {
        "layout": report.layout,
        "is_sound": not problems,
        "data_sha256": None if problems else report.data_sha256,
        "counts": _count(problems),
        "problem_count": len(problems),
        "warning_counts": _count(warnings),
        "warning_count": len(warnings),
        "doubtful_masks": asdict(report.doubtful_masks),
        "duplicate_slices": report.duplicate_slices,
        "notes": list(layout.notes),
        "left_out": [asdict(group) for group in report.left_out],
        "categories": [asdict(category) for category in report.categories],
        "sides": {side: len(patients) for side, patients in report.sides.items()},
        "analysis": asdict(report.analysis),
        "problems": [_shown(problem) for problem in problems],
        "warnings": [_shown(warning) for warning in warnings],
    }


def _count(problems: Sequence[Problem]) -> dict[str, int]:
    """Findings by code; of files that are left out, the files."""
    counts: Counter[str] = Counter()
    for problem in problems:
        counts[problem.code] += len(problem.files) if problem.code in LEFT_OUT else 1
    return dict(sorted(counts.items()))


def _shown(problem: Problem) -> dict[str, Any]:
    return {"code": problem.code, "files": [shown(name) for name in problem.files], "message": shown(problem.message)}
