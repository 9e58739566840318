"""`python -m ml evaluate`: a model over a folder with expert masks."""

import argparse
import sys
from pathlib import Path

from ml.commands.left_out import write_left_out
from ml.commands.model_options import add_model_options, find_model, model_directories


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `evaluate`."""
    parser = subparsers.add_parser("evaluate", help="compare a model with expert masks: figures, tables, report")
    parser.add_argument("folder", type=Path, help="the data set")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that does not exist yet")
    add_model_options(parser)
    parser.add_argument("--name", metavar="NAME", help="what the report is called; else the folder's name")
    parser.add_argument("--tta", action="store_true", help="average the probability over four flips")
    parser.add_argument("--grey", action="store_true", help="show FLAIR alone, as a gray scan does")
    parser.add_argument("--patients", type=Path, metavar="FILE", help="only these: one id a line")
    parser.add_argument("--seed", type=int, default=None, metavar="N", help="of the intervals' resampling")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and say the headline; 1 where a slice could not be evaluated, with its sentence."""
    from tqdm import tqdm

    from ml.atomic_files import check_is_free
    from ml.engines import load_engine
    from ml.engines.flair_only import FlairOnlyEngine
    from ml.engines.flip_tta import FlipTtaEngine
    from ml.evaluation.cases import check_outcome, choose_cases
    from ml.evaluation.report import Settings, headline, make_report
    from ml.evaluation.run import evaluate_cases
    from ml.metrics.intervals import DEFAULT_SEED
    from ml.reports.folder import write_results
    from ml.reports.title import Title

    check_is_free(arguments.out)
    package = find_model(arguments.model)
    chosen = choose_cases(arguments.folder, arguments.patients)
    engine = load_engine(package, arguments.engine, directories=model_directories())
    if arguments.grey:
        engine = FlairOnlyEngine(engine)
    if arguments.tta:
        engine = FlipTtaEngine(engine)
    engine.warm_up()
    settings = Settings(
        threshold=engine.card.threshold if arguments.threshold is None else arguments.threshold,
        has_tta=arguments.tta,
        is_grey=arguments.grey,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
    )
    with tqdm(total=len(chosen.cases), unit=" slices") as bar:
        outcome = evaluate_cases(
            engine, chosen.cases, settings.threshold, report_progress=lambda done: bar.update(done - bar.n)
        )
    check_outcome(outcome)
    report = make_report(engine, outcome, settings, chosen.left_out, chosen.notes)
    folder_name = arguments.folder.resolve().name
    title = Title(arguments.name or folder_name, folder_name)
    write_results(arguments.out, engine, report, title)
    sys.stdout.write("\n".join([headline(report), *report.caveats, f"{arguments.out / 'report.html'}\n"]))
    write_left_out(chosen.left_out)
    for message in dict.fromkeys(failure.sentence for failure in outcome.failures):
        sys.stderr.write(f"{message}\n")
    return 1 if outcome.failures else 0
