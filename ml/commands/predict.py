"""`python -m ml predict`: a model on images and folders without expert masks."""

import argparse
import sys
from pathlib import Path

from ml.commands.left_out import write_left_out
from ml.commands.model_options import add_model_options, find_model, model_directories


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `predict`."""
    parser = subparsers.add_parser("predict", help="write masks, cut-outs, overlays and a table")
    parser.add_argument(
        "paths",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="an image, a volume, or a folder with images or DICOM series",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that does not exist yet")
    add_model_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Predict; 1 where a file could not be read, with its sentence, once all the others are done."""
    from tqdm import tqdm

    from ml.atomic_files import check_is_free, fresh_folder
    from ml.engines import load_engine
    from ml.prediction.run import predict_sources
    from ml.prediction.series import join_series
    from ml.prediction.sources import find_sources
    from ml.rendering.panels import NOTICE
    from ml.sandbox.decoder import Decoder

    check_is_free(arguments.out)
    found_files, left_out = find_sources(arguments.paths)
    engine = load_engine(find_model(arguments.model), arguments.engine, directories=model_directories())
    engine.warm_up()
    threshold = engine.card.threshold if arguments.threshold is None else arguments.threshold
    decoder = Decoder()
    try:
        sources, beside = join_series(found_files, decoder)
        with fresh_folder(arguments.out) as folder, tqdm(total=len(sources), unit=" files") as bar:
            found = predict_sources(engine, sources, folder, threshold, decoder, lambda done: bar.update(done - bar.n))
    finally:
        decoder.close()
    sys.stdout.write(f"{len(sources) - found.failed} of {len(sources)} files in {arguments.out}. {NOTICE}\n")
    for code, files in sorted(found.warned.items()):
        sys.stdout.write(f"warning {code}: {files} of {len(sources)} files\n")
    if found.damaged:
        noun = "file" if found.damaged == 1 else "files"
        sys.stdout.write(f"Damaged and left out of its series: {found.damaged:,} {noun}\n")
    write_left_out((*left_out, *beside))
    for error in found.errors:
        sys.stderr.write(f"{error}\n")
    return 1 if found.errors else 0
