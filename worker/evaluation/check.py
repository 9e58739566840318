"""The first chunk of an evaluation: list its cases, read every file once in a sandbox, store what was found."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ml.datasets.case import Case, DatasetError
from ml.datasets.checking.check import CheckResult, check_layout
from ml.datasets.checking.file_checks import FileCheck
from ml.datasets.checking.problems import Problem
from ml.datasets.file_names import ANNOTATIONS_FILE
from ml.datasets.layouts.layout import Layout, find_layout
from webapp.domain.evaluations import chunks
from webapp.domain.evaluations.chunks import ChunkInput
from webapp.domain.evaluations.manifest import ListedCase, is_text, listed, shown
from webapp.domain.evaluations.sources import is_inside
from webapp.domain.jobs.kinds import ClaimedJob
from webapp.domain.storage.arrays import write_bytes
from webapp.domain.storage.keys import findings_key
from worker.jobs.lease import Lease
from worker.jobs.step import JobFailed, StepAside
from worker.process.runtime import Runtime

# Problems in the row, for the page; all of them are in storage.
PROBLEMS_SHOWN = 100
# Folders that people zip around the data set's own.
MOST_WRAPPERS = 3
REPORT_EVERY_S = 1.0

NO_IMAGES = (
    "There is no data set: neither patient folders with NAME.tif and NAME_mask.tif, nor `images` and `masks`, nor"
    f" {ANNOTATIONS_FILE}; choose the folder above the images."
)
BAD_ANNOTATIONS = f"{ANNOTATIONS_FILE} cannot be read as COCO, or names no image that is there; export it again."
LINK_OUT = "A folder or the annotations are a link that leads out of the allowed roots; copy what it leads to."
OUTSIDE = "{name} is a link that leads out of the allowed roots; copy the file itself."
NOT_TEXT = "{name} has a name that is not UTF-8; rename it."


def run_check(runtime: Runtime, job: ClaimedJob[ChunkInput], lease: Lease, step_aside: StepAside) -> None:
    """Check the data set and make its chunks. Raises JobFailed where there is none, LeaseLost, StorageFull."""
    resources, claim, work = runtime.resources, job.claim, job.input
    folder = work.folder
    if folder is None:
        raise JobFailed("folder_refused", work.refusal)
    layout = _find(folder, work.boundaries)
    refusals = {case.image: refusal for case in layout.cases if (refusal := _refusal(case, work.boundaries))}
    readable = tuple(case for case in layout.cases if case.image not in refusals)

    def follow(file_checks: Iterable[FileCheck], total: int) -> Iterator[FileCheck]:
        written_at = time.monotonic()
        for index, file_check in enumerate(file_checks):
            if time.monotonic() - written_at > REPORT_EVERY_S:
                lease.check()
                chunks.count_checked(resources, claim, work, checked=index, total=total)
                step_aside()
                written_at = time.monotonic()
            yield file_check

    result = check_layout(replace(layout, cases=readable), follow)
    cases, has_truth = _list(layout, refusals, dict(zip(readable, result.file_checks, strict=True)))
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
            keeps_patients=resources.catalog.card(work.model).depth is not None,
            data_folder=layout.folder.relative_to(folder).as_posix(),
            has_truth=has_truth,
            findings=shown_findings,
        ),
        stored=key,
    )


def _find(folder: Path, boundaries: tuple[Path, ...]) -> Layout:
    """The layout of the folder, or of the one folder in it, as archives have it. Raises JobFailed."""
    for _ in range(MOST_WRAPPERS):
        _check_links(folder, boundaries)
        try:
            return find_layout(folder)
        except OSError as error:
            raise JobFailed("unreadable", "The folder cannot be read; change its permissions.") from error
        except (DatasetError, MemoryError) as error:
            if any((root / ANNOTATIONS_FILE).exists() for root in (folder, *_folders(folder))):
                raise JobFailed("bad_annotations", BAD_ANNOTATIONS) from error
        inner = _folders(folder)
        if len(inner) != 1:
            break
        folder = inner[0]
    raise JobFailed("no_images", NO_IMAGES)


def _check_links(folder: Path, boundaries: tuple[Path, ...]) -> None:
    """Check the folders and files that the search for a layout will open. Raises JobFailed for a link out."""
    try:
        looked_into = [path for path in folder.iterdir() if path.is_dir() or path.name == ANNOTATIONS_FILE]
        for subset in [path for path in looked_into if path.is_dir() and is_inside(path, boundaries)]:
            looked_into += [subset / name for name in (ANNOTATIONS_FILE, "images", "masks") if (subset / name).exists()]
    except OSError as error:
        raise JobFailed("unreadable", "The folder cannot be read; change its permissions.") from error
    if not all(is_inside(path, boundaries) for path in looked_into):
        raise JobFailed("outside_roots", LINK_OUT)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _refusal(case: Case, boundaries: tuple[Path, ...]) -> tuple[str, str] | None:
    """Code and sentence for a case whose files must not be opened; None where they may."""
    for path in (case.image, case.mask):
        if path is not None and not is_inside(path, boundaries):
            return "outside_roots", OUTSIDE.format(name=shown(f"{case.patient}/{path.name}"))
        if path is not None and not is_text(str(path)):
            return "bad_name", NOT_TEXT.format(name=shown(f"{case.patient}/{path.name}"))
    return None


def _list(
    layout: Layout, refusals: dict[Path, tuple[str, str]], observed: dict[Case, FileCheck]
) -> tuple[list[ListedCase], bool]:
    """The cases to evaluate, in the order of `python -m ml evaluate`, and whether they have masks."""
    has_truth = any(case.has_truth for case in layout.cases)
    cases = []
    for position, case in enumerate(case for case in layout.cases if case.has_truth or not has_truth):
        if case.image in refusals:
            name = shown(case.image.relative_to(layout.folder).as_posix())
            code, message = refusals[case.image]
            cases.append(ListedCase(position, shown(case.patient), name, refusal=message, refusal_code=code))
            continue
        seen = observed[case]
        sums = {"image_sha256": seen.image_sha256, "mask_sha256": seen.mask_sha256}
        cases.append(listed(position, case, layout.folder, **sums))
    return cases, has_truth


def _describe(result: CheckResult, layout: Layout, refusals: dict[Path, tuple[str, str]]) -> dict[str, Any]:
    """Plain JSON values: everything that the check found."""
    report = result.report
    refused = [
        Problem(code, (shown(image.relative_to(layout.folder).as_posix()),), message)
        for image, (code, message) in refusals.items()
    ]
    problems = [*report.problems, *refused]
    warnings = report.warnings
    return {
        "layout": report.layout,
        "is_sound": not problems,
        "data_sha256": None if problems else report.data_sha256,
        "counts": dict(sorted(Counter(problem.code for problem in problems).items())),
        "problem_count": len(problems),
        "warning_counts": dict(sorted(Counter(warning.code for warning in warnings).items())),
        "warning_count": len(warnings),
        "doubtful_masks": asdict(report.doubtful_masks),
        "analysis": asdict(report.analysis),
        "problems": [_shown(problem) for problem in problems],
        "warnings": [_shown(warning) for warning in warnings],
    }


def _shown(problem: Problem) -> dict[str, Any]:
    return {"code": problem.code, "files": [shown(name) for name in problem.files], "message": shown(problem.message)}
