"""The arrows between the packages, read from the imports: docs/architecture.md draws them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# For each part, what of ours it may import. `ml` is split by what needs torch.
WITH_TORCH = (
    "ml.networks",
    "ml.packaging",
    "ml.training",
    "ml.engines.torch",
    "ml.commands",
    "ml.__main__",
)
ALLOWED = {
    "webapp.domain": ("webapp.domain", "ml"),
    "webapp": ("webapp", "ml"),
    "worker": ("worker", "webapp.domain", "ml"),
    "ml": ("ml",),
}
FRAMEWORKS = {
    "webapp.domain": ("flask", "flask_smorest", "flask_wtf", "torch", "openvino"),
    "webapp": ("torch", "openvino", "scipy"),
    "worker": ("flask", "torch", "openvino"),
    "ml": ("flask", "sqlalchemy", "celery", "redis"),
}


def modules() -> Iterator[tuple[str, Path]]:
    for top in ("webapp", "worker", "ml"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def part_of(module: str) -> str:
    return next(part for part in ALLOWED if is_within(module, part))


def test_every_import_follows_an_arrow() -> None:
    wrong = []
    for module, path in modules():
        part = part_of(module)
        for name in imported(path):
            is_ours = any(is_within(name, top) for top in ("webapp", "worker", "ml", "tests", "bench"))
            if is_ours and not any(is_within(name, allowed) for allowed in ALLOWED[part]):
                wrong.append(f"{module} imports {name}")
            if any(is_within(name, framework) for framework in FRAMEWORKS[part]):
                wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_the_web_reaches_no_engine_and_nothing_with_torch() -> None:
    forbidden = ("ml.engines", *WITH_TORCH)
    wrong = [
        f"{module} imports {name}"
        for module, path in modules()
        if is_within(module, "webapp")
        for name in imported(path)
        if any(is_within(name, item) for item in forbidden)
    ]
    assert wrong == []


def test_only_the_settings_and_the_launcher_read_the_environment() -> None:
    readers = {
        module for module, path in modules() if "os.environ" in path.read_text() or "os.getenv" in path.read_text()
    }
    assert {name for name in readers if not is_within(name, "ml")} <= {
        "webapp.domain.settings",
        "webapp.process.launch",
    }


@pytest.mark.parametrize("statement", ["import wsgi", "import worker.tasks, ml.engines.openvino"])
def test_serving_loads_no_torch(statement: str, tmp_path: Path) -> None:
    check = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    environment = {"GLIOSCOPE_INSTANCE": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment, check=True)
