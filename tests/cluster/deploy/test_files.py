"""The files in cluster/deploy against the schemas of the programs that read them, and against each other.

`schemas/` are cut-down copies: those of KubeRay and of compose are in no package.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import cluster

DEPLOY = Path(cluster.__file__).parent / "deploy"
ROOT = DEPLOY.parents[1]
SCHEMAS = Path(__file__).parent / "schemas"
HEALTH = {"health_check_period_ms": 1000, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def mistakes(document: Any, schema: Any) -> list[str]:
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(document)]


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def ray_schema() -> Any:
    spec = importlib.util.find_spec("ray")
    assert spec is not None and spec.origin is not None
    return json.loads((Path(spec.origin).parent / "autoscaler" / "ray-schema.json").read_text(encoding="utf-8"))


def pod_templates(resource: Any) -> Iterator[Any]:
    spec = resource["spec"].get("rayClusterSpec", resource["spec"])
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        yield group["template"]


FILES = {
    "compose.yaml": lambda: schema("compose"),
    "kubernetes/raycluster.yaml": lambda: schema("raycluster"),
    "kubernetes/rayjob.yaml": lambda: schema("rayjob"),
    "ray-cluster.yaml": ray_schema,
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_valid(name: str) -> None:
    assert mistakes(read(name), FILES[name]()) == []


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("compose.yaml", ("services", "head")), ("kubernetes/raycluster.yaml", ("spec", "headGroupSpec")),
        ("kubernetes/rayjob.yaml", ("spec", "rayClusterSpec")), ("ray-cluster.yaml", ()),
    ],
)  # fmt: skip
def test_a_misspelt_field_is_found(name: str, where: tuple[str, ...]) -> None:
    document = copy.deepcopy(read(name))
    node = document
    for key in where:
        node = node[key]
    node["misspelt"] = 1
    assert any("misspelt" in mistake for mistake in mistakes(document, FILES[name]()))


@pytest.mark.long
@pytest.mark.parametrize("name", ["kubernetes/raycluster.yaml", "kubernetes/rayjob.yaml"])
def test_the_pods_are_valid_for_kubernetes(name: str) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    for template in pod_templates(read(name)):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, **template}
        validate(pod, "1.30", strict=True)
        pod["spec"]["containers"][0]["imagePullPolice"] = "Never"
        with pytest.raises(Exception, match="imagePullPolice"):
            validate(pod, "1.30", strict=True)


def commands(name: str) -> Iterator[str]:
    """The options that start a head, as its shell or its process gets them."""
    if name == "slurm.sh":
        yield (DEPLOY / name).read_text(encoding="utf-8")
    elif name == "compose.yaml":
        pairs = (option.partition("=") for option in read(name)["services"]["head"]["command"])
        yield " ".join(f"{option}{equals}{shlex.quote(value)}" for option, equals, value in pairs)
    elif name == "ray-cluster.yaml":
        yield from read(name)["head_start_ray_commands"]
    else:
        spec = read(name)["spec"]
        parameters = spec.get("rayClusterSpec", spec)["headGroupSpec"]["rayStartParams"]
        yield " ".join(f"--{key}={value}" for key, value in parameters.items())  # as KubeRay writes it


@pytest.mark.parametrize("name", [*FILES, "slurm.sh"])
def test_every_head_notices_a_lost_node_in_seconds(name: str) -> None:
    options = [option for text in commands(name) for option in re.findall(r"--system-config=\S+", text)]
    [option] = options
    shown = subprocess.run(["sh", "-c", f"printf %s {option}"], capture_output=True, text=True, check=True).stdout
    assert json.loads(shown.partition("=")[2]) == HEALTH


@pytest.mark.parametrize("name", [*FILES, "slurm.sh", "Dockerfile"])
def test_tokens_are_required_and_no_secret_is_in_a_file(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    assert "mode: token" in text or re.search(r"RAY_AUTH_MODE(=|: ?|, value: )token", text)
    assert not re.search(r"(?i)(secret_access_key|auth_token|secretkey)\s*[:=]\s*[\"']?[A-Za-z0-9+/]{16,}", text)


def test_the_dockerfile_installs_what_exists() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    constraints = set(re.findall(r"constraints[\w-]*\.txt", text))
    assert constraints == {"constraints.txt", "constraints-cuda.txt"}
    assert all((ROOT / name).is_file() for name in constraints)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [extras] = re.findall(r"source\[([\w,]+)\]", text)
    assert all(re.search(rf"^{extra} = ", project, re.MULTILINE) for extra in extras.split(","))
    assert "-c constraints.txt" in (ROOT / "constraints-cuda.txt").read_text(encoding="utf-8")


def test_the_constraints_in_the_package_are_those_of_the_project() -> None:
    for name in ("constraints.txt", "constraints-cuda.txt"):
        assert (DEPLOY / name).read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8")


def test_the_script_for_slurm_is_a_shell_script_and_wants_a_configuration() -> None:
    assert subprocess.run(["bash", "-n", DEPLOY / "slurm.sh"], check=False).returncode == 0
    ended = subprocess.run(["bash", DEPLOY / "slurm.sh"], capture_output=True, text=True, check=False)
    assert ended.returncode == 2 and ended.stderr.startswith("usage: sbatch [options] slurm.sh CONFIG")
