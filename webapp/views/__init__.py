"""HTML pages: a view parses, calls one service, and answers."""

from flask import Flask

from webapp.views import (
    evaluations,
    follow_up,
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


def register(app: Flask, auth: str) -> None:
    """Install every page; those of users where there are users."""
    frame.register(app)
    for module in (
        home,
        scans,
        measurements,
        studies,
        follow_up,
        sequences,
        segmentations,
        samples,
        evaluations,
        models,
        help,
        system,
    ):
        app.register_blueprint(module.bp)
    if auth != "demo":
        from webapp.views import audit

        app.register_blueprint(audit.bp)
    if auth not in ("local", "demo"):
        from webapp.views import accounts, admin, second_factor

        app.register_blueprint(accounts.bp)
        app.register_blueprint(second_factor.bp)
        app.register_blueprint(admin.bp)
    if auth == "oidc":
        from webapp.views import oidc

        app.register_blueprint(oidc.bp)
