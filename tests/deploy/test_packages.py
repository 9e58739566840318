"""What is deployed is what is locked: requirements, locks, images and the tools that tell of them."""

import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from webapp.domain.settings import PROJECT_ROOT

CONTAINERS = PROJECT_ROOT / "deploy" / "container"
LOCKS = {
    "requirements-serve.lock": ["requirements-serve.txt"],
    "requirements-container.lock": ["requirements-s3.txt", "requirements-dicom-network.txt"],
}


def requirements(name: str) -> Iterator[Requirement]:
    """Those of a file and of the files that it names."""
    for line in (PROJECT_ROOT / name).read_text().splitlines():
        if line.startswith("-r "):
            yield from requirements(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            yield Requirement(line)


def locked(name: str) -> dict[str, tuple[Requirement, int]]:
    """By the package's name its line of a lock, and how many hashes it has."""
    text = (PROJECT_ROOT / name).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line and not line.lstrip().startswith("#"):
            words, *hashes = re.split(r"\s+--hash=", line)
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in hashes)
            found[canonicalize_name(Requirement(words).name)] = Requirement(words), len(hashes)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_what_is_required_and_all_that_those_need_with_hashes(lock: str) -> None:
    """`make lock` mends it. What needs what is read from the packages as they are installed here."""
    found = locked(lock)
    asked = {canonicalize_name(one.name): one for file in LOCKS[lock] for one in requirements(file)}
    for name, wanted in asked.items():
        assert name in found, f"{lock} lacks {name}: make lock"
        assert found[name][0].specifier == wanted.specifier, f"{lock} has another {name}: make lock"
    assert [name for name, (_, hashes) in found.items() if not hashes] == []
    todo = [(name, one.extras) for name, one in asked.items() if one.marker is None or one.marker.evaluate()]
    reached = set()
    while todo:
        name, extras = todo.pop()
        reached.add(name)
        for text in metadata.requires(name) or ():
            need = Requirement(text)
            is_needed = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))
            if is_needed:
                needed = canonicalize_name(need.name)
                assert needed in found, f"{lock} lacks {needed}, which {name} needs: make lock"
                assert need.specifier.contains(str(found[needed][0].specifier).removeprefix("=="), prereleases=True)
                if needed not in reached:
                    todo.append((needed, need.extras))
    # Nothing is left of what nobody needs any more.
    here = {name for name, (one, _) in found.items() if one.marker is None}
    assert here - reached == set()


def test_both_locks_have_the_same_versions() -> None:
    serve, container = (locked(lock) for lock in LOCKS)
    assert {name: str(one) for name, (one, _) in serve.items()}.items() <= {
        name: str(one) for name, (one, _) in container.items()
    }.items()


@pytest.mark.parametrize(
    ("file", "lock"), [("Dockerfile", "requirements-container.lock"), ("Dockerfile.demo", "requirements-serve.lock")]
)
def test_an_image_installs_its_lock_and_nothing_else(file: str, lock: str) -> None:
    text = (CONTAINERS / file).read_text().replace("\\\n", " ")
    installs = re.findall(r"pip install [^&\n]*", text)
    assert len(installs) == 1 and f"--require-hashes -r /tmp/{lock}" in installs[0]
    assert set(re.findall(r"[\w.-]*requirements[\w.-]*", text)) == {lock}
    assert f"!{lock}" in (CONTAINERS / f"{file}.dockerignore").read_text().splitlines()


def test_the_portal_starts_nothing_that_tells_of_packages() -> None:
    deployed = {name for lock in LOCKS for name in locked(lock)}
    assert not deployed & {canonicalize_name(one.name) for one in requirements("requirements-supply-chain.txt")}


@pytest.fixture(scope="module")
def package_audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("package_audit", PROJECT_ROOT / "deploy" / "package_audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SOUND = {"name": "flask", "version": "3.1.3", "vulns": []}
HOLE = {"name": "x", "version": "1", "vulns": [{"id": "CVE-2026-1", "fix_versions": ["2"]}]}
SKIPPED = {"name": "y", "skip_reason": "Dependency not found on PyPI and could not be audited: y (1)"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([SOUND], 0, "1 packages: 1 answered, 0 vulnerabilities."),
        ([SOUND, HOLE, SKIPPED], 1, "x 1: CVE-2026-1, mended in 2"),
        ([SOUND, SKIPPED], 2, "Nothing is known about 1: y."),
        ([], 2, "Nothing is known about 0"),
    ],
)
def test_packages_nobody_answered_for_are_not_called_sound(
    package_audit: ModuleType, packages: list[dict[str, Any]], status: int, said: str
) -> None:
    found, lines = package_audit.verdict(packages)
    assert found == status and said in "\n".join(lines)


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (None, 2, "nothing is known about the packages of requirements-container.lock. It said: no route"),
        ({"dependencies": [SKIPPED]}, 2, "Nothing is known about 1: y."),
        ({"dependencies": [SOUND]}, 0, "1 answered, 0 vulnerabilities."),
    ],
)
def test_make_audit_packages_ends_as_it_was_answered(
    tmp_path: Path, answer: dict[str, Any] | None, status: int, said: str
) -> None:
    """Over a stand-in for pip-audit: the real one asks the network."""
    program = tmp_path / "bin" / "pip-audit"
    program.parent.mkdir()
    text = "" if answer is None else json.dumps(answer)
    program.write_text(
        "#!/bin/sh\n"
        'while [ "$#" -gt 0 ]; do [ "$1" = --output ] && out="$2"; shift; done\n'
        f"[ -z '{text}' ] && {{ echo no route >&2; exit 1; }}\n"
        f"echo '{text}' > \"$out\"\necho No known vulnerabilities found\n"
    )
    program.chmod(0o755)
    (tmp_path / "bin" / "python").write_text('#!/bin/sh\nexec python3 "$@"\n')
    (tmp_path / "bin" / "python").chmod(0o755)
    (tmp_path / ".installed").touch()
    done = subprocess.run(
        ["make", "--no-print-directory", "audit-packages", f"TOOLS={tmp_path}"],
        cwd=PROJECT_ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said in done.stdout and (done.returncode == 0) == (status == 0), done.stderr
    assert status == 0 or f"Error {status}" in done.stderr
