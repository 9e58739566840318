"""A report's title block for tests, at a fixed time."""

from datetime import UTC, datetime

from ml.reports.title import Title

TITLE = Title("A set", "set", datetime(2026, 11, 28, 21, 5, tzinfo=UTC))
