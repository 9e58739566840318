"""HTML pages: a view parses, calls one service, and answers."""

from flask import Flask

from webapp.views import (
    evaluations,
    frame,
    help,
    home,
    measurements,
    models,
    samples,
    scans,
    segmentations,
    sequences,
    studies,
    system,
)


def register(app: Flask) -> None:
    """Install every page."""
    frame.register(app)
    for module in (
        home,
        scans,
        measurements,
        studies,
        sequences,
        segmentations,
        samples,
        evaluations,
        models,
        help,
        system,
    ):
        app.register_blueprint(module.bp)
