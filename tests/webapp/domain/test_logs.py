"""The log has our own lines, and of libraries what is wrong."""

import logging

import pytest

from webapp.domain import logs


@pytest.mark.parametrize("name", ["botocore.credentials", "botocore.configprovider", "celery.app.trace", "werkzeug"])
def test_libraries_say_only_what_is_wrong(name: str) -> None:
    logs.configure()
    library = logging.getLogger(name)
    assert not library.isEnabledFor(logging.INFO) and library.isEnabledFor(logging.WARNING)
