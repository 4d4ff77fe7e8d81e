"""Compose files and manifests say what the program says: roles, keys, ports, user, version, metric.

Their form is checked by `make check`: yamllint, the schema of compose files, that of Kubernetes 1.32.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import kubernetes_validate
import pytest
import yaml

from scp import product
from scp.configuration.sections import Node
from scp.configuration.settings import Settings, load

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONTAINERFILE = (DOCS / "container" / "Containerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((DOCS / "container" / "compose.yaml").read_text("utf-8"))
COMPOSE_BUCKET = yaml.safe_load((DOCS / "container" / "bucket.yaml").read_text("utf-8"))
OBJECTS = [
    document
    for path in sorted((DOCS / "kubernetes" / "base").glob("*.yaml"))
    for document in yaml.safe_load_all(path.read_text("utf-8"))
]
PODS = {"Deployment", "StatefulSet"}
"""Kinds of objects that say what a pod is."""
ROLES = sorted(set(get_args(Node.model_fields["role"].annotation)) - {"all"})


def named(kind):
    return {entry["metadata"]["name"]: entry for entry in OBJECTS if entry["kind"] == kind}


def pod(role):
    return named("Deployment")[role]["spec"]["template"]["spec"]


def named_data_dir():
    return re.search("SECONDREAD_NODE__DATA_DIR=(\\S+)", CONTAINERFILE).group(1)


def settings_of_pods(tmp_path, role):
    file = tmp_path / "config.toml"
    file.write_text(named("ConfigMap")["secondread"]["data"]["config.toml"], encoding="utf-8")
    return load(file, environ={"SECONDREAD_NODE__ROLE": role})


def settings_of_service(role):
    return load(DOCS.parent / "config.toml", environ=COMPOSE["services"][role]["environment"])


def watched(settings):
    """Return the port at which a process tells how it is."""
    return settings.console.port if settings.node.role == "console" else settings.health.port


def test_each_role_has_a_deployment_and_a_service():
    assert sorted(named("Deployment")) == ROLES
    assert set(ROLES) <= set(COMPOSE["services"])


@pytest.mark.parametrize("role", ROLES)
def test_pods_start_with_a_configuration_that_is_one(tmp_path, role):
    settings = settings_of_pods(tmp_path, role)
    (container,) = pod(role)["containers"]
    assert container["args"][-2:] == ["--role", role]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(Path(container["args"][1]).parent) in mounts
    assert named_data_dir() in mounts
    ports = {entry["name"]: entry["containerPort"] for entry in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        request = container[probe]["httpGet"]
        assert ports[request["port"]] == watched(settings)
        assert request["path"] == ("/readyz" if probe == "readinessProbe" else "/healthz")
    if role == "receive":
        assert ports["dicom"] == settings.node.port


@pytest.mark.parametrize("role", ROLES)
def test_pods_have_no_more_rights_than_the_container(role):
    user = int(re.search(r"USER (\d+)", CONTAINERFILE).group(1))
    context = pod(role)["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"], context["fsGroup"]) == (True, user, user)
    (container,) = pod(role)["containers"]
    assert container["image"].endswith(f"secondread:{product.__version__}")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_manifests_refer_to_is_there():
    for service in named("Service").values():
        role = service["spec"]["selector"]["app.kubernetes.io/component"]
        offered = {port["name"] for port in pod(role)["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= offered
    for role in ROLES:
        for volume in pod(role)["volumes"]:
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in named("PersistentVolumeClaim")
            if "configMap" in volume:
                assert volume["configMap"]["name"] in named("ConfigMap")


def test_workers_follow_a_metric_that_the_console_gives_out():
    (scaler,) = named("HorizontalPodAutoscaler").values()
    assert scaler["spec"]["scaleTargetRef"]["name"] in named("Deployment")
    (metric,) = scaler["spec"]["metrics"]
    name = metric["external"]["metric"]["name"]
    assert f'"{name}"' in (DOCS.parent / "scp" / "console" / "metrics.py").read_text("utf-8")
    values = yaml.safe_load(
        (DOCS / "kubernetes" / "autoscaling" / "prometheus-adapter.yaml").read_text("utf-8")
    )
    (rule,) = values["rules"]["external"]
    assert rule["name"]["as"] == name
    assert rule["seriesQuery"].startswith(name)


@pytest.mark.parametrize("role", ROLES)
def test_services_start_with_a_configuration_that_is_one(role):
    service = COMPOSE["services"][role]
    settings = settings_of_service(role)
    assert settings.node.role == role
    assert settings.database.server is not None
    assert f":{watched(settings)}/healthz" in service["healthcheck"]["test"][-1]
    published = {int(port.rpartition(":")[2]) for port in service.get("ports", ())}
    expected = {"receive": {settings.node.port}, "console": {settings.console.port}}
    assert published == expected.get(role, set())
    assert service["image"] == f"secondread:{product.__version__}"
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])


def test_the_pacs_to_try_it_with_knows_the_node():
    pacs = json.loads(COMPOSE["configs"]["orthanc"]["content"])
    title, host, port = pacs["DicomModalities"]["secondread"]
    assert (title, port) == (Settings().node.ae_title, Settings().node.port)
    assert host in COMPOSE["services"]


@pytest.mark.parametrize("role", ROLES)
def test_services_keep_their_files_in_a_bucket(role):
    service = COMPOSE_BUCKET["services"][role]
    environment = COMPOSE["services"][role]["environment"] | service["environment"]
    settings = load(DOCS.parent / "config.toml", environ=environment)
    assert settings.files.bucket
    assert settings.files.copies_mb == Settings().files.copies_mb
    (volume,) = service["volumes"]
    name, _, path = volume.rpartition(":")
    assert path == named_data_dir()
    assert (name in COMPOSE_BUCKET["volumes"]) == (role in ("receive", "console"))


def rendered(folder):
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here, which renders docs/kubernetes")
    printed = subprocess.run(
        [kubectl, "kustomize", str(DOCS / "kubernetes" / folder)], capture_output=True, text=True, check=True
    )
    return list(yaml.safe_load_all(printed.stdout))


def test_the_base_has_every_manifest():
    objects = rendered("base")
    assert len(objects) == len([entry for entry in OBJECTS if entry["kind"] != "Kustomization"])


def test_pods_keep_their_files_in_a_bucket(tmp_path):
    objects = rendered("bucket")
    for entry in objects:
        kubernetes_validate.validate(entry, "1.32", strict=True)
    (claim,) = (entry["metadata"]["name"] for entry in objects if entry["kind"] == "PersistentVolumeClaim")
    assert claim == "console"  # none that pods share
    (bucket,) = (
        entry
        for entry in objects
        if entry["kind"] == "ConfigMap" and entry["metadata"]["name"].startswith("secondread-bucket-")
    )
    file = tmp_path / "config.toml"
    file.write_text(named("ConfigMap")["secondread"]["data"]["config.toml"], encoding="utf-8")
    settings = load(file, environ=bucket["data"])
    assert settings.files.bucket
    sets = {entry["metadata"]["name"]: entry for entry in objects if entry["kind"] in PODS}
    assert sorted(sets) == ROLES
    assert sets["receive"]["kind"] == "StatefulSet"  # audit messages outlive a pod
    for entry in sets.values():
        spec = entry["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert {"configMapRef": {"name": bucket["metadata"]["name"]}} in container["envFrom"]
        assert {"secretRef": {"name": "secondread-bucket"}} in container["envFrom"]
        (mount,) = (mount for mount in container["volumeMounts"] if mount["name"] == "data")
        assert mount["mountPath"] == named_data_dir()
    sizes = re.findall(r"storage: (\d+)Gi", yaml.safe_dump_all(objects))
    assert len(sizes) == len(ROLES)
    for size in sizes:
        assert int(size) * 1000 > settings.files.copies_mb + settings.node.disk_reserve_mb
