"""The manifests of deploy/kubernetes: against Kubernetes' schemas, the compose file, the settings and the routes."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.support.resources import make_settings
from webapp.domain.settings import PROJECT_ROOT, SETTINGS, Settings, check_bind
from webapp.factory import create_app

FOLDER = PROJECT_ROOT / "deploy" / "kubernetes"
# The oldest and the newest one that are still served with mends, when this was written.
VERSIONS = ("1.35", "1.37")
PORTAL = ("web", "worker", "batch-worker", "sweeper", "migrate")
DATA = ("database", "broker", "store")


def manifests(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def kustomization() -> dict[str, Any]:
    return manifests("kustomization.yaml")[0]


def everything() -> list[dict[str, Any]]:
    """Every object that is applied, and those that autoscaling adds."""
    return [item for name in (*kustomization()["resources"], "autoscaling.yaml") for item in manifests(name)]


def spec(item: dict[str, Any]) -> dict[str, Any]:
    """A ConfigMap has none."""
    return dict(item.get("spec", {}))


def pods() -> dict[str, dict[str, Any]]:
    """The pod template of each workload, by its name."""
    return {item["metadata"]["name"]: item["spec"]["template"] for item in everything() if "template" in spec(item)}


def containers() -> list[dict[str, Any]]:
    return [container for pod in pods().values() for container in pod["spec"]["containers"]]


def main_container(name: str) -> dict[str, Any]:
    return dict(pods()[name]["spec"]["containers"][0])


def settings_map() -> dict[str, str]:
    (found,) = [item for item in everything() if item["kind"] == "ConfigMap"]
    return dict(found["data"])


def secret_keys() -> set[str]:
    return {line.partition("=")[0] for line in (FOLDER / "secrets.example.env").read_text().splitlines()}


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field_of_every_object(version: str) -> None:
    for item in everything():
        kubernetes_validate.validate(item, version, strict=True)


def test_every_file_is_applied_or_says_why_not() -> None:
    named = {*kustomization()["resources"], "kustomization.yaml", "autoscaling.yaml", "secrets.example.env"}
    assert {path.name for path in FOLDER.iterdir()} == named
    names = [(item["kind"], item["metadata"]["name"]) for item in everything()]
    assert len(set(names)) == len(names)


def test_the_pods_run_what_the_containers_of_the_compose_file_run() -> None:
    services = yaml.safe_load((PROJECT_ROOT / "deploy" / "container" / "compose.yaml").read_text())["services"]
    for ours, theirs in (("worker", "worker"), ("batch-worker", "batch_worker"), ("sweeper", "sweeper")):
        assert main_container(ours)["command"] == services[theirs]["command"]
    web = main_container("web")["command"]
    assert (web[0], web[-1]) == (services["web"]["command"][0], services["web"]["command"][-1])
    for name in DATA:
        assert main_container(name)["image"] == services[name]["image"]
    for ours, theirs in (("web", "web"), ("worker", "worker"), ("batch-worker", "batch_worker")):
        patience = int(services[theirs]["stop_grace_period"].removesuffix("s"))
        assert pods()[ours]["spec"]["terminationGracePeriodSeconds"] > patience


def test_every_queue_is_consumed_by_workers_that_take_no_more_threads_than_they_may() -> None:
    jobs = []
    for name in ("worker", "batch-worker"):
        container = main_container(name)
        environ = {entry["name"]: entry.get("value") for entry in container["env"]}
        jobs.append(environ["GLIOSCOPE_WORKER_JOBS"])
        assert environ["GLIOSCOPE_WORKER_THREADS"] == container["resources"]["limits"]["cpu"]
    assert jobs == ["interactive", "batch"]


def test_what_a_pod_names_is_there() -> None:
    """Volumes, claims, keys of the secret, settings."""
    claims = {item["metadata"]["name"] for item in everything() if item["kind"] == "PersistentVolumeClaim"}
    for pod in pods().values():
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        asked = [volume.get("persistentVolumeClaim", {}).get("claimName") for volume in volumes.values()]
        assert {*asked} <= {*claims, None}
        for container in pod["spec"]["containers"]:
            # A stateful set's `data` is made of its template.
            assert {mount["name"] for mount in container["volumeMounts"]} <= {*volumes, "data"}
            secrets = [entry["valueFrom"]["secretKeyRef"] for entry in container.get("env", ()) if "valueFrom" in entry]
            assert {secret["name"] for secret in secrets} <= {kustomization()["secretGenerator"][0]["name"]}
            assert {secret["key"] for secret in secrets} <= secret_keys()
    known = {entry.name for entry in SETTINGS.values()} | {"POSTGRES_PASSWORD"}
    for name in PORTAL:
        assert main_container(name)["envFrom"] == [{"configMapRef": {"name": "glioscope"}}]
        own = [entry["name"] for entry in main_container(name)["env"]]
        assert {word for word in (*own, *settings_map()) if not word.startswith("AWS_")} <= known


def test_what_is_selected_is_there() -> None:
    components = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods().values()}
    for item in everything():
        if item["kind"] == "Service":
            assert spec(item)["selector"]["app.kubernetes.io/component"] in components
        if item["kind"] == "PodDisruptionBudget":
            assert spec(item)["selector"]["matchLabels"]["app.kubernetes.io/component"] in components
        if item["kind"] == "HorizontalPodAutoscaler":
            assert spec(item)["scaleTargetRef"]["name"] in components


def test_nobody_is_root_and_nothing_is_written_but_volumes() -> None:
    for pod in pods().values():
        whole = pod["spec"]["securityContext"]
        assert whole["runAsNonRoot"] is True and whole["runAsUser"] > 0
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
    for container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"].keys() == container["resources"]["limits"].keys() == {"cpu", "memory"}
    # Who reaches what holds data: pods with this label alone, and only those of the portal have it.
    label = "glioscope.example.org/data"
    assert {name for name, pod in pods().items() if label in pod["metadata"]["labels"]} == set(PORTAL)


def test_the_portal_answers_the_probes_and_starts_with_these_settings(tmp_path: Path, empty_sqlite: Path) -> None:
    environ = settings_map() | {"GLIOSCOPE_SECRET_KEY": "x" * 40, "GLIOSCOPE_INSTANCE": str(tmp_path)}
    (url,) = [entry["value"] for entry in main_container("web")["env"] if entry["name"] == "DATABASE_URL"]
    settings = Settings.from_environment(environ | {"DATABASE_URL": url.replace("$(POSTGRES_PASSWORD)", "a")})
    host, _, port = settings.bind.rpartition(":")
    check_bind(settings, (host, int(port)))
    web = main_container("web")
    assert web["ports"] == [{"name": "http", "containerPort": int(port)}]
    (ingress,) = [item for item in everything() if item["kind"] == "Ingress"]
    assert {rule["host"] for rule in spec(ingress)["rules"]} <= set(settings.allowed_hosts)
    hosts = settings_map()["GLIOSCOPE_ALLOWED_HOSTS"]
    app = create_app(make_settings(tmp_path / "app", GLIOSCOPE_ALLOWED_HOSTS=hosts))
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        asked = web[kind]["httpGet"]
        headers = {header["name"]: header["value"] for header in asked["httpHeaders"]}
        assert asked["port"] == "http" and app.test_client().get(asked["path"], headers=headers).status_code == 200


def test_autoscaling_asks_for_metrics_that_exist() -> None:
    asked = re.findall(r"metric: \{name: (\w+)\}", (FOLDER / "autoscaling.yaml").read_text())
    served = (PROJECT_ROOT / "webapp" / "prometheus.py").read_text()
    assert len(asked) == 2 and all(f'"{name}"' in served for name in asked)
