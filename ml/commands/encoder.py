"""`python -m ml encoder`: published weights of an encoder made ready for training, without the internet."""

import argparse
import sys
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The arguments of `encoder`."""
    parser = subparsers.add_parser("encoder", help="convert a file of pretrained weights for network.encoder_weights")
    parser.add_argument("file", type=Path, help="safetensors, .pth of torchvision or timm, .onnx, .h5 of Keras")
    parser.add_argument("--encoder", required=True, metavar="NAME", help="of segmentation-models-pytorch")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder: weights and card")
    parser.add_argument("--input", dest="convention", metavar="NAME", help="what the weights take; default: recognized")
    parser.add_argument("--licence", default="not stated", metavar="TEXT", help="of the weights, for the card")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert, check, write, and say what was changed."""
    from ml.atomic_files import check_is_free
    from ml.networks.pretrained import convert_encoder, write_encoder

    check_is_free(arguments.out)
    converted = convert_encoder(
        arguments.file, arguments.encoder, convention=arguments.convention, licence=arguments.licence
    )
    write_encoder(converted, arguments.out)
    card = converted.card
    sys.stdout.write(f"{card.encoder} of {card.source}, which takes {card.source_input}\n")
    sys.stdout.write("".join(f"{change}\n" for change in card.changes))
    sys.stdout.write(f"{arguments.out}\n")
    return 0
