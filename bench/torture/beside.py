"""Uploads beside a large evaluation: nobody who waits for one scan waits for thousands of slices."""

from bench.figures import median, ms, p95
from bench.mixed_work import compare
from bench.slices import DATA
from bench.torture.outcome import FALLS_SHORT, HOLDS, NOT_RUN, REPORTED, Outcome, command_of

SENTENCE = "an upload does not wait behind an evaluation"


def measure(count: int, most: float | None = None) -> Outcome:
    """Uploads beside the check and beside the slices of an evaluation, a worker for each; not run without real slices.

    count: slices of the evaluation. most: what p95 beside it may be of p95 alone; None: no timing is
    judged.
    """
    if not (DATA / "lgg").is_dir():
        figures = ["no real slices: set GLIOSCOPE_TEST_DATA to the folder that has lgg/"]
        return Outcome("beside", SENTENCE, command_of("beside"), figures, NOT_RUN)
    seen = compare(count, GLIOSCOPE_BATCH_WORKER="on")
    base, worst = p95(seen.idle), max(p95(seen.beside_check), p95(seen.beside_cases)) / p95(seen.idle)
    figures = [
        f"an evaluation of {count} slices, {seen.done} of them done by the last upload beside it",
        f"{len(seen.idle)} uploads to their result alone: median {ms(median(seen.idle))} ms, p95 {ms(base)} ms",
    ]
    for what, taken in (("its check", seen.beside_check), ("its slices", seen.beside_cases)):
        words = f"{len(taken)} beside {what}: median {ms(median(taken))} ms, p95 {ms(p95(taken))} ms"
        figures.append(f"{words} ({p95(taken) / base:.2f} of idle)")
    if most is None:
        return Outcome("beside", SENTENCE, command_of("beside"), figures, REPORTED)
    figures.append(f"p95 at most {most:g} of idle asked for")
    return Outcome("beside", SENTENCE, command_of("beside"), figures, HOLDS if worst <= most else FALLS_SHORT)
