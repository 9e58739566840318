"""How far an evaluation is: the rows of finished chunks are counted once, however often its page asks."""

from dataclasses import asdict, replace

import pytest
from sqlalchemy import ColumnElement
from sqlalchemy.orm import Session

from tests.support.evaluations import begin, case_rows, evaluation_row, queued_chunks
from tests.support.jobs import run_chunk
from webapp.domain.evaluations import progress
from webapp.domain.evaluations.progress import Tally


def test_cases_of_finished_chunks_are_counted_once(runtime, resources, data, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    tally_of = progress._tally

    def tally(session: Session, evaluation_id: str, *where: ColumnElement[bool]) -> Tally:
        found = tally_of(session, evaluation_id, *where)
        counted.append(sum(found.outcomes.values()))
        return found

    monkeypatch.setattr(progress, "_tally", tally)
    runtime.resources = replace(resources, settings=replace(resources.settings, evaluation_chunk=4))
    evaluation_id = begin(resources, data)
    seen = []
    for _ in range(3):  # the check, and all but the last of the chunks
        run_chunk(runtime, queued_chunks(resources, evaluation_id)[0])
        with resources.database.read() as session:
            said = progress.progress(session, evaluation_row(resources, evaluation_id))
            whole = asdict(progress.count(session, evaluation_id))
        counted.pop()  # of the whole
        assert (said.outcomes, said.mean_dice) == (whole["outcomes"], pytest.approx(whole["mean_dice"]))
        assert said.done == len(case_rows(resources, evaluation_id))
        seen.append(said.done)
    assert queued_chunks(resources, evaluation_id)
    assert seen[0] == 0 < seen[1] < seen[2]
    assert sum(counted) == seen[2], "each case once"
    with resources.database.read() as session:
        assert progress.progress(session, evaluation_row(resources, evaluation_id)).done == seen[2]
    assert sum(counted) == seen[2], "and not again"
