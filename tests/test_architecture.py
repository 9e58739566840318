"""The arrows between the rooms, read from the imports: docs/architecture.md draws them."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("webapp", "worker", "ml", "tests", "bench")

# The floors of webapp.domain: what every feature may use.
_FLOORS = (
    "webapp.domain.errors",
    "webapp.domain.settings",
    "webapp.domain.database",
    "webapp.domain.storage",
    "webapp.domain.jobs",
    "webapp.domain.uploads",
    "webapp.domain.catalog",
    "webapp.domain.resources",
    "webapp.domain.stages",
    "webapp.domain.tracing",
)
# What of ml needs neither torch nor an engine.
_LIGHT = (
    "ml.cards",
    "ml.scans",
    "ml.volumes",
    "ml.sandbox",
    "ml.synthetic",
    "ml.datasets",
    "ml.masks",
    "ml.measurements",
    "ml.exports",
    "ml.lesions",
    "ml.metrics",
    "ml.ood",
    "ml.preprocessing",
    "ml.rendering",
    "ml.plots",
    "ml.evaluation",
    "ml.reports",
    "ml.atomic_files",
)

# For each room, the other rooms that it may import. A module belongs to the longest name that fits; what has no name of
# its own here belongs to its parent.
ARROWS: dict[str, tuple[str, ...]] = {
    "webapp.domain.errors": (),
    "webapp.domain.settings": (),
    "webapp.domain.logs": (),
    "webapp.domain.tracing": (),
    "webapp.domain.stages": (),
    "webapp.domain.database": ("webapp.domain.errors", "webapp.domain.settings"),
    "webapp.domain.accounts": ("webapp.domain.database", "webapp.domain.errors", "webapp.domain.settings"),
    "webapp.domain.storage": ("webapp.domain.errors", "ml.atomic_files"),
    "webapp.domain.catalog": ("webapp.domain.errors", "ml.cards"),
    "webapp.domain.jobs": ("webapp.domain.database", "webapp.domain.errors", "webapp.domain.resources"),
    # The registry of what workers do: it names the features' jobs, and no feature imports it.
    "webapp.domain.jobs.kinds": (*_FLOORS, "webapp.domain.scans", "webapp.domain.evaluations"),
    "webapp.domain.uploads": (
        "webapp.domain.database",
        "webapp.domain.errors",
        "webapp.domain.resources",
        "webapp.domain.storage",
        # Which format a file is, by its first bytes.
        "ml.scans.formats", "ml.scans.scan",
    ),
    "webapp.domain.uploads.archives": ("webapp.domain.uploads", *_FLOORS, "ml.datasets", "ml.sandbox"),
    "webapp.domain.uploads.sandbox_errors": ("webapp.domain.errors", "ml.sandbox"),
    # The container: it opens one of each, and knows no feature but the cache of rendered images.
    "webapp.domain.resources": (
        *_FLOORS, "webapp.domain.scans.image_cache", "ml.scans", "ml.sandbox",
    ),
    "webapp.domain.scans.image_cache": (),
    "webapp.domain.scans": (
        *_FLOORS, "webapp.domain.accounts.visitors", "webapp.domain.scans.image_cache", *_LIGHT,
    ),
    "webapp.domain.evaluations": (*_FLOORS, *_LIGHT),
    "webapp.domain.exports": (*_FLOORS, "webapp.domain.scans", "webapp.domain.uploads", "ml.version", *_LIGHT),
    # Results among other systems: DICOM nodes and DICOMweb.
    "webapp.domain.networks": (
        *_FLOORS, "webapp.domain.accounts", "webapp.domain.scans", "webapp.domain.exports", "ml.digests", *_LIGHT,
    ),
    # It counts what the features hold.
    "webapp.domain.monitoring": (*_FLOORS, "webapp.domain.scans", "webapp.domain.evaluations"),
    # It copies what the features hold.
    "webapp.domain.backups": (
        *_FLOORS, "webapp.domain.resources", "webapp.domain.tables", "webapp.domain.scans",
        "webapp.domain.evaluations", "ml.atomic_files", "ml.digests", "ml.version",
    ),
    "webapp.domain.retention": (
        *_FLOORS, "webapp.domain.accounts", "webapp.domain.scans", "webapp.domain.evaluations",
    ),
    "webapp.domain.tables": ("webapp.domain",),
    "webapp.domain": (),
    "webapp.schemas": ("webapp.domain", "webapp.context", "ml.version", *_LIGHT),
    # Answers of the API and of the pages' forms alike.
    "webapp.downloads": ("webapp.schemas", "webapp.domain", "webapp.context"),
    "webapp.scan_evaluations": ("webapp.domain", "webapp.context"),
    # A protocol of its own, with addresses of its own.
    "webapp.monai_label": (
        "webapp.accounts", "webapp.audit_trail", "webapp.schemas", "webapp.domain", "webapp.context",
        "webapp.departures", "webapp.error_handlers", "webapp.security",
    ),
    "webapp.scan_reports": ("webapp.schemas", "webapp.domain", "webapp.context", "ml.cards", "ml.reports"),
    "webapp.api": (
        "webapp.schemas",
        "webapp.domain",
        "webapp.context",
        "webapp.departures",
        "webapp.downloads",
        "webapp.scan_evaluations",
        "webapp.scan_reports",
        "webapp.error_handlers",
        "webapp.security",
    ),
    "webapp.departures": (),
    "webapp.unsaved_forms": (),
    "webapp.accounts": ("webapp.domain", "webapp.context", "webapp.unsaved_forms"),
    "webapp.audit_trail": (
        "webapp.accounts", "webapp.domain", "webapp.context", "webapp.error_handlers", "webapp.process.patient_socket",
    ),
    "webapp.visitors": ("webapp.domain", "webapp.context", "webapp.error_handlers"),
    "webapp.views": (
        "webapp.accounts",
        "webapp.audit_trail",
        "webapp.schemas",
        "webapp.domain",
        "webapp.context",
        "webapp.downloads",
        "webapp.scan_evaluations",
        "ml.synthetic",
        "ml.version",
    ),
    "webapp.process": (
        "ml.cards",
        "webapp.domain.accounts",
        "webapp.domain.catalog",
        "webapp.domain.database",
        "webapp.domain.settings",
        "webapp.error_handlers",
    ),
    "webapp": ("webapp", *_LIGHT),
    # A process of its own, which no worker knows: it hands over uploads, and needs no engine.
    "worker.dicom_node": ("webapp.domain", "worker.process.schema", "ml.atomic_files", "ml.digests"),
    "worker": ("worker", "webapp.domain", "ml.engines", "ml.skull", *_LIGHT),
    "ml.atomic_files": (),
    "ml.channels": (),
    "ml.digests": (),
    "ml.version": (),
    "ml.environment": (),
    "ml.cards": ("ml.atomic_files", "ml.digests"),
    "ml.volumes": (),
    "ml.scans": ("ml.volumes",),
    # Processes for hostile bytes. What runs inside them are the entries, which know the readers and the data sets.
    "ml.sandbox": ("ml.scans", "ml.volumes"),
    "ml.sandbox.entries": ("ml.sandbox", "ml.scans", "ml.volumes", "ml.datasets", "ml.digests", "ml.exports"),
    "ml.exports": ("ml.sandbox", "ml.scans"),
    "ml.synthetic": ("ml.scans",),
    "ml.datasets": ("ml.scans", "ml.volumes", "ml.sandbox", "ml.atomic_files", "ml.channels", "ml.digests"),
    "ml.preprocessing": ("ml.cards",),
    "ml.head": ("ml.masks",),
    "ml.skull": ("ml.channels", "ml.engines", "ml.ood"),
    "ml.masks": ("ml.cards", "ml.preprocessing"),
    "ml.measurements": ("ml.head", "ml.masks", "ml.ood"),
    "ml.lesions": ("ml.head", "ml.masks", "ml.volumes"),
    "ml.metrics": ("ml.masks", "ml.measurements"),
    "ml.rendering": ("ml.masks", "ml.measurements"),
    "ml.ood": ("ml.cards", "ml.channels"),
    "ml.engines": ("ml.cards", "ml.masks", "ml.ood", "ml.preprocessing", "ml.networks"),
    "ml.evaluation": (
        "ml.cards", "ml.datasets", "ml.digests", "ml.engines", "ml.masks", "ml.measurements", "ml.metrics",
        "ml.preprocessing", "ml.skull",
    ),
    "ml.plots": ("ml.metrics",),
    "ml.reports": (
        "ml.atomic_files", "ml.cards", "ml.datasets", "ml.engines", "ml.evaluation", "ml.metrics", "ml.plots",
        "ml.rendering", "ml.version",
    ),
    "ml.prediction": (
        "ml.atomic_files", "ml.cards", "ml.datasets", "ml.engines", "ml.evaluation", "ml.masks", "ml.measurements",
        "ml.metrics", "ml.ood", "ml.rendering", "ml.reports", "ml.sandbox", "ml.scans", "ml.skull", "ml.volumes",
    ),
    "ml.networks": ("ml.cards", "ml.atomic_files", "ml.digests", "ml.synthetic"),
    "ml.training": (
        "ml.atomic_files", "ml.cards", "ml.datasets", "ml.engines", "ml.evaluation", "ml.metrics", "ml.networks",
        "ml.plots", "ml.preprocessing", "ml.rendering", "ml.reports",
    ),
    "ml.packaging": (
        "ml.atomic_files", "ml.cards", "ml.datasets", "ml.digests", "ml.engines", "ml.evaluation", "ml.masks",
        "ml.measurements", "ml.metrics", "ml.networks", "ml.ood", "ml.preprocessing", "ml.synthetic", "ml.training",
    ),
    # The command line alone knows everything; nothing knows the command line.
    "ml.commands": ("ml",),
    "ml.__main__": ("ml",),
}  # fmt: skip

FRAMEWORKS = {
    "webapp.domain": ("flask", "flask_smorest", "flask_wtf", "torch", "openvino"),
    "webapp": ("torch", "openvino", "scipy"),
    "worker": ("flask", "torch", "openvino"),
    "ml": ("flask", "sqlalchemy", "celery", "redis"),
}
WITH_TORCH = ("ml.networks", "ml.packaging", "ml.training", "ml.engines.torch")
LAZY = ("ml.commands", "ml.__main__")


def modules() -> Iterator[tuple[str, Path]]:
    for top in ("webapp", "worker", "ml"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


# The empty __init__ of ml is no room.
MODULES = {name: path for name, path in modules() if name != "ml"}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, at its top or later; `from package import module` is the module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(name if name in MODULES else node.module for name in full)
    return names


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def room_of(module: str) -> str:
    """The longest name that fits. A module without a room is an error: give it one in ARROWS."""
    return max((room for room in ARROWS if is_within(module, room)), key=len)


def test_every_import_follows_an_arrow() -> None:
    wrong = []
    for module, path in MODULES.items():
        room = room_of(module)
        for name in imported(path):
            is_ours = any(is_within(name, top) for top in OURS)
            if is_ours and not any(is_within(name, allowed) for allowed in (room, *ARROWS[room])):
                wrong.append(f"{module} imports {name}")
    assert wrong == []


def test_frameworks_stay_in_their_rooms() -> None:
    wrong = []
    for module, path in MODULES.items():
        forbidden = next(frameworks for part, frameworks in FRAMEWORKS.items() if is_within(module, part))
        wrong += [f"{module} imports {n}" for n in imported(path) if any(is_within(n, name) for name in forbidden)]
    assert wrong == []


def test_the_web_reaches_no_engine_and_nothing_with_torch() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if is_within(module, "webapp")
        for name in imported(path)
        if any(is_within(name, item) for item in ("ml.engines", *WITH_TORCH, *LAZY))
    ]
    assert wrong == []


def test_only_the_settings_and_the_launcher_read_the_environment() -> None:
    readers = {
        module
        for module, path in MODULES.items()
        if "os.environ" in path.read_text() or "os.getenv" in path.read_text()
    }
    assert {name for name in readers if not is_within(name, "ml")} <= {
        "webapp.domain.settings",
        "webapp.process.launch",
    }


def test_every_path_that_the_map_names_exists() -> None:
    """A path may be given from the folder that its sentence is about: it is the end of a real one."""
    named = set(re.findall(r"`([\w./-]+(?:/|\.(?:py|js|html|md|yaml)))`", (ROOT / "docs/architecture.md").read_text()))
    assert len(named) > 40
    tops = ("webapp", "worker", "ml", "templates", "static", "tests", "bench", "docs", "migrations", "deploy")
    real = [f"/{path.relative_to(ROOT)}" for top in tops for path in (ROOT / top, *(ROOT / top).rglob("*"))]
    ends = [f"/{name.rstrip('/')}" for name in named]
    assert [end for end in ends if not any(path.endswith(end) for path in real)] == []


@pytest.mark.parametrize("statement", ["import wsgi", "import worker.tasks, ml.engines.openvino"])
def test_serving_loads_no_torch_and_no_tracing(statement: str, tmp_path: Path) -> None:
    # Redis' client loads other parts of OpenTelemetry wherever it is installed; what sends is ours alone.
    check = f"import sys; {statement}; sys.exit('torch' in sys.modules or 'opentelemetry.exporter' in sys.modules)"
    environment = {"GLIOSCOPE_INSTANCE": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, env=environment, check=True)


@pytest.mark.parametrize("command", ["check", "evaluate", "predict"])
def test_the_light_commands_load_no_torch(command: str) -> None:
    check = (
        "import sys; from ml.__main__ import main\n"
        f"try: main(['{command}', '--help'])\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
