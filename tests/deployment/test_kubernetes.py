"""conf/kubernetes: what the cluster and Locust's operator take, by schema, and what the run would be, by our parser."""

from __future__ import annotations

import shlex
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
from ruamel.yaml import YAML

from pika_locust.catalogue import find_scenario
from pika_locust.runtime.options import add_arguments, parse_all, read_options

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "conf" / "kubernetes"

NAME = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object with these properties and no others: a word with a slip in it is ignored by many a controller."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


QUANTITY = {"type": "string", "pattern": r"^\d+(\.\d+)?(m|Ki|Mi|Gi)?$"}
RESOURCES = closed({part: closed({"cpu": QUANTITY, "memory": QUANTITY}) for part in ("requests", "limits")}, "requests")
ROLE = closed({"labels": TEXTS, "annotations": TEXTS, "resources": RESOURCES})
LOCUST_TEST = closed(
    {
        "annotations": TEXTS,
        "labels": TEXTS,
        "image": {"type": "string", "pattern": r":[\w.-]+$"},
        "imagePullPolicy": {"enum": ["IfNotPresent", "Always", "Never"]},
        "imagePullSecrets": {"type": "array", "items": closed({"name": NAME}, "name")},
        "workers": {"type": "integer", "minimum": 1},
        "args": {"type": "string"},
        # The operator has no valueFrom.
        "env": {"type": "array", "items": closed({"name": {"type": "string"}, "value": {"type": "string"}}, "name")},
        "master": ROLE,
        "worker": ROLE,
        "locustfile": {
            "oneOf": [
                closed({"content": {"type": "string"}}, "content"),
                closed({"configMap": closed({"name": NAME}, "name")}, "configMap"),
            ]
        },
        "metrics": closed({"intervalSeconds": {"type": "integer"}}),
    },
    "workers",
)
"""The operator's resource definition, `locusttests.locust.io` v1, and closed."""
DEPLOYMENT = {
    "type": "object",
    "required": ["selector", "template"],
    "properties": {
        "replicas": {"type": "integer"},
        "selector": closed({"matchLabels": TEXTS}, "matchLabels"),
        "template": closed(
            {
                "metadata": closed({"labels": TEXTS}, "labels"),
                "spec": closed(
                    {
                        "automountServiceAccountToken": {"type": "boolean"},
                        "securityContext": {
                            "properties": {"runAsNonRoot": {"const": True}},
                            "required": ["runAsNonRoot"],
                        },
                        "containers": {
                            "type": "array",
                            "items": closed(
                                {
                                    "name": NAME,
                                    "image": {"type": "string"},
                                    "command": {"type": "array", "items": {"type": "string"}},
                                    "ports": {"type": "array"},
                                    "readinessProbe": {"type": "object"},
                                    "securityContext": {"type": "object"},
                                    "volumeMounts": {"type": "array"},
                                    "resources": RESOURCES,
                                },
                                "name",
                                "image",
                            ),
                        },
                        "volumes": {"type": "array"},
                    },
                    "containers",
                ),
            },
            "metadata",
            "spec",
        ),
    },
    "additionalProperties": False,
}
SERVICE = closed(
    {
        "selector": TEXTS,
        "ports": {
            "type": "array",
            "items": closed({"port": {"type": "integer"}, "targetPort": {"type": "integer"}}, "port"),
        },
    },
    "selector",
    "ports",
)
SCHEMAS = {
    ("v1", "ConfigMap"): ("data", TEXTS),
    ("v1", "Service"): ("spec", SERVICE),
    ("apps/v1", "Deployment"): ("spec", DEPLOYMENT),
    ("locust.io/v1", "LocustTest"): ("spec", LOCUST_TEST),
}


def resources() -> list[dict[str, Any]]:
    return [one for path in sorted(FOLDER.glob("*.yaml")) for one in YAML(typ="safe").load_all(path.read_text())]


def the(kind: str) -> dict[str, Any]:
    (found,) = (one for one in resources() if one["kind"] == kind)
    return found


def check(resource: dict[str, Any]) -> None:
    part, schema = SCHEMAS[resource["apiVersion"], resource["kind"]]
    head = {"apiVersion": {}, "kind": {}, "metadata": closed({"name": NAME}, "name")}
    jsonschema.validate(resource, closed({**head, part: schema}, "apiVersion", "kind", "metadata", part))


@pytest.mark.parametrize("resource", resources(), ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_its_schema_accepts_a_resource(resource: dict[str, Any]) -> None:
    check(resource)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "workers"], 0),
        (["spec", "replicas"], 4),
        (["spec", "locustfile", "content"], "import locust"),
        (["spec", "worker", "resources", "requests", "cpu"], 1),
        (["spec", "image"], "registry.example.com/pika-locust"),
    ],
    ids=["no workers", "an unknown word", "two locustfiles", "a number for a quantity", "no version"],
)
def test_a_slip_in_the_load_test_is_seen(path: list[str], value: Any) -> None:
    wrong = deepcopy(the("LocustTest"))
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        check(wrong)


def test_the_config_map_is_the_one_that_is_mounted_and_has_the_locustfile() -> None:
    config, test = the("ConfigMap"), the("LocustTest")
    assert test["spec"]["locustfile"]["configMap"]["name"] == config["metadata"]["name"]
    told = subprocess.run(
        [sys.executable, "-m", "pika_locust.cli.main", "locustfile", "queue"], capture_output=True, text=True, cwd=ROOT
    )
    assert config["data"] == {"locustfile.py": told.stdout}
    assert "-f /home/locust/locustfile.py" in test["spec"]["args"]


def test_the_run_is_one_that_our_parser_takes_with_as_many_workers_as_there_are() -> None:
    spec = the("LocustTest")["spec"]
    scenario = find_scenario("queue")
    parser = get_empty_argument_parser(default_config_files=[])
    setup_parser_arguments(parser)
    add_arguments(parser, scenario, None)
    environ = {one["name"]: one["value"] for one in spec["env"]}
    arguments, unknown, problems = parse_all(parser, ["--master", *shlex.split(spec["args"])], environ)
    options = read_options(scenario, arguments, environ, problems)
    assert unknown == []
    assert options.target == "http://sandbox:8700/verity"
    assert arguments.expect_workers == spec["workers"]


def test_the_sandbox_is_reached_where_the_load_test_looks_for_it() -> None:
    service, deployment = the("Service"), the("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert the("LocustTest")["spec"]["env"] == [
        {"name": "SANDBOX_URL", "value": f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"}
    ]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert container["command"][-1] == str(service["spec"]["ports"][0]["targetPort"])
    assert container["image"] == the("LocustTest")["spec"]["image"]


def test_the_image_takes_arguments_without_a_command_as_the_operator_gives_them() -> None:
    assert 'ENTRYPOINT ["locust"]' in (ROOT / "Dockerfile").read_text()
