"""Processes that tests start compile nothing that another has compiled."""

import os
import subprocess
import sys

from tests.support.bytecode import keep_bytecode


def test_a_process_that_a_test_starts_keeps_its_bytecode(tmp_path):
    (tmp_path / "compiled.py").touch()
    subprocess.run([sys.executable, "-c", "import compiled"], cwd=tmp_path, check=True)
    assert list(tmp_path.glob("__pycache__/compiled.*.pyc"))


def test_what_the_environment_says_of_bytecode_is_taken_out_of_it_alone():
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    keep_bytecode(environment)
    assert environment == {"PATH": os.environ["PATH"]}
