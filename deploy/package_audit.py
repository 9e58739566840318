"""Ask which packages of a lock have known vulnerabilities: `python deploy/package_audit.py LOCK [PIP_AUDIT]`.

pip-audit alone says "no known vulnerabilities", and ends with 0, also where nobody answered it: such packages it calls
skipped. Here 0 means that every package was answered and none has one; 1: one has; 2: not all are known about.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2


def main(lock: str, program: str = "pip-audit") -> int:
    """Ask, print what was answered, and give the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        words = ["--disable-pip", "--require-hashes", "-r", lock, "--format", "json", "--output", str(answer)]
        done = subprocess.run(
            [program, *words, "--progress-spinner", "off"], capture_output=True, text=True, check=False
        )
        text = answer.read_text() if answer.exists() else ""
    if not text:
        why = (done.stderr.strip().splitlines() or ["no word why"])[-1]
        sys.stdout.write(f"pip-audit gave no answer: nothing is known about the packages of {lock}. It said: {why}\n")
        return UNKNOWN
    status, lines = verdict(json.loads(text)["dependencies"])
    sys.stdout.write("\n".join(lines) + "\n")
    return status


def verdict(packages: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """The exit status and the lines to print for pip-audit's `dependencies`."""
    found = [(package, hole) for package in packages for hole in package.get("vulns", [])]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    lines = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or 'none'}"
        for package, hole in found
    ]
    lines.append(f"{len(packages)} packages: {len(packages) - len(unknown)} answered, {len(found)} vulnerabilities.")
    if unknown or not packages:
        lines.append(f"Nothing is known about {len(unknown)}: {', '.join(unknown)}.")
    return VULNERABLE if found else UNKNOWN if unknown or not packages else CLEAN, lines


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
