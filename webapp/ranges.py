"""Requests for a part of a file: what the portal cannot give in parts it gives whole."""

from flask import Flask, request


def register(app: Flask) -> None:
    """Install it."""
    app.before_request(ignore_other_ranges)


def ignore_other_ranges() -> None:
    """Forget a Range that is not one range of bytes: RFC 9110, section 14.2, has unknown units ignored.

    Werkzeug would answer 416, to several ranges at once, too.
    """
    asked = request.range
    if "Range" in request.headers and (asked is None or asked.units != "bytes" or len(asked.ranges) != 1):
        del request.environ["HTTP_RANGE"]
