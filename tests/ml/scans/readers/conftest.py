"""Readers are tested through the sandbox, as they are used."""

from tests.ml.sandbox.conftest import decode, decoder, refuse

__all__ = ["decode", "decoder", "refuse"]
