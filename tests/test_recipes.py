"""The recipes for many machines, as far as they can be checked without Docker and Kubernetes."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.utilities.templating import apply_values, find_placeholders

from flows.cli import COMMANDS
from flows.launch.deployments import POOLS
from tests.support.commands import http_program

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "deployments"
COMPOSE = (RECIPES / "compose.yaml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
OURS = {"server", "deploy", "datasets", "cpu", "gpu"}
TEMPLATE = json.loads((RECIPES / "kubernetes" / "base-job-template.json").read_text())


def instructions() -> list[tuple[str, str]]:
    """Of the Dockerfile: the word in capitals, and the rest with its lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def stages() -> dict[str, tuple[str, list[tuple[str, str]]]]:
    """What each stage of the Dockerfile starts from, and its instructions."""
    found: dict[str, tuple[str, list[tuple[str, str]]]] = {}
    for word, rest in instructions():
        if word == "FROM":
            base, name = rest.split(" AS ")
            own: list[tuple[str, str]] = []
            found[name] = (base, own)
        elif found:
            own.append((word, rest))
    return found


def history(stage: str) -> list[tuple[str, str]]:
    """All instructions that a stage is made of, those of what it starts from first."""
    base, own = stages()[stage]
    return (history(base) if base in stages() else []) + own


def test_files_copied_into_the_image_exist_in_the_build_context() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "**"
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied: set[str] = set()
    for word, rest in instructions():
        *sources, _ = shlex.split(rest)
        if word == "COPY" and sources[0].startswith("--from="):
            assert sources[0].removeprefix("--from=") in stages()
        elif word == "COPY":
            copied |= set(sources)
    assert all((ROOT / source).exists() for source in copied)
    assert copied == sent
    assert {"flows", "tasks", "storage", "constraints.txt"} <= copied


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_an_image_is_pinned_not_run_as_root_and_has_a_health_check(target: str) -> None:
    words = history(target)
    (user,) = (rest for word, rest in words if word == "USER")
    assert int(user) > 0
    assert [rest for word, rest in words if word == "HEALTHCHECK"]
    # From a stage of its own, so that no compiler is in what is shipped.
    (copied,) = (rest.split() for word, rest in words if word == "COPY")
    built = history(copied[0].removeprefix("--from="))
    installs = [rest for word, rest in built if word == "RUN" and "pip install" in rest]
    assert installs
    assert all("--constraint constraints.txt" in install for install in installs)
    (warm,) = (rest for word, rest in words if word == "RUN" and rest.startswith("unseen"))
    assert warm.split()[1] in COMMANDS


def test_the_default_build_target_is_the_cpu_image() -> None:
    assert list(stages())[-1] == "cpu"


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A program that gives everybody one status; its port."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.end_headers()

    with http_program(answer) as found:
        yield found


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_health_checks_follow_the_state_of_worker_and_server(status: int, healthy: bool) -> None:
    (of_image,) = (rest for word, rest in instructions() if word == "HEALTHCHECK")
    checks = [json.loads(of_image.partition("CMD ")[2])]
    checks.append(SERVICES["server"]["healthcheck"]["test"][1:])
    for program, *words in checks:
        assert program == "python"
        with answering(status) as port:
            here = [re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", word) for word in words]
            assert here != words
            ended = subprocess.run([sys.executable, *here], capture_output=True, check=False)
        assert (ended.returncode == 0) is healthy


@pytest.mark.slow
def test_every_container_command_exists_in_prefect() -> None:
    commands = [service["command"] for name, service in SERVICES.items() if name in OURS]
    commands += [json.loads(rest) for word, rest in instructions() if word == "CMD"]
    started = [[str(word) for word in words] for words in commands if words[0] == "prefect"]
    assert len(started) == 6
    help_of: dict[tuple[str, ...], str] = {}
    for words in started:
        command = tuple(words[1:3])
        if command not in help_of:
            asked = [sys.executable, "-m", "prefect", *command, "--help"]
            help_of[command] = subprocess.run(
                asked, capture_output=True, text=True, check=True
            ).stdout
        for option in (word for word in words if word.startswith("--")):
            assert f"{option} " in help_of[command]
        if command[0] == "worker":
            assert words[words.index("--pool") + 1] in POOLS


def test_the_compose_file_has_every_service_with_existing_dependencies() -> None:
    assert set(SERVICES) == OURS | {"postgres", "s3"}
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
    for name in OURS:
        built = SERVICES[name]["build"]
        assert (RECIPES / built["context"] / "Dockerfile").is_file()
        assert built["target"] in stages()
        assert SERVICES[name]["image"] == f"unseen:{built['target']}"
    for name in ("postgres", "s3"):
        assert not SERVICES[name]["image"].endswith((":latest", "postgres", "minio"))


def test_the_server_requires_a_non_empty_password() -> None:
    told = SERVICES["server"]["environment"]
    for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"):
        assert told[name].startswith("${SITE_AUTH:?")  # compose refuses it unset or empty
    for worker in ("deploy", "datasets", "cpu", "gpu"):
        environment = SERVICES[worker]["environment"]
        assert environment["PREFECT_API_AUTH_STRING"].startswith("${SITE_AUTH:?")


def test_ports_are_bound_to_loopback_by_default() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(ports) == {"server", "s3"}
    for ((port,),) in zip(ports.values(), strict=True):
        assert port.startswith("${LISTEN:-127.0.0.1}:")


def test_the_secrets_file_names_every_variable_of_the_compose_file() -> None:
    example = (RECIPES / "site.env.example").read_text()
    asked = set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE))
    needed = set(re.findall(r"\$\{([A-Z0-9_]+):\?", COMPOSE))
    assert set(re.findall(r"^([A-Z0-9_]+)=$", example, re.MULTILINE)) == needed
    assert set(re.findall(r"^#?([A-Z0-9_]+)=", example, re.MULTILINE)) == asked
    assert "site.env" in (ROOT / ".gitignore").read_text().split()
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if variable.endswith(("PASSWORD", "AUTH_STRING", "ACCESS_KEY")):
                assert value.startswith("${"), (name, variable)


def test_prefect_accepts_the_kubernetes_job_template() -> None:
    made = WorkPoolCreate(name="cpu", type="kubernetes", base_job_template=TEMPLATE)
    assert made.base_job_template == TEMPLATE
    used = {one.name for one in find_placeholders(TEMPLATE["job_configuration"])}
    assert used == set(TEMPLATE["variables"]["properties"])


def test_a_kubernetes_job_is_unprivileged_and_reads_credentials_from_a_secret() -> None:
    properties = TEMPLATE["variables"]["properties"]
    values = {name: one["default"] for name, one in properties.items() if "default" in one}
    asked = {"name": "front", "command": ["prefect", "flow-run", "execute"], "gpus": 1}
    job = apply_values(TEMPLATE["job_configuration"], values | asked)["job_manifest"]

    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert job["spec"]["backoffLimit"] == 0  # Prefect runs scenes again, not Kubernetes
    pod = job["spec"]["template"]["spec"]
    (user,) = (int(rest) for word, rest in history("cpu") if word == "USER")
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == user
    (container,) = pod["containers"]
    assert container["args"] == ["prefect", "flow-run", "execute"]
    assert not any(word == "ENTRYPOINT" for word, _ in instructions())  # it would come before
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["envFrom"] == [{"secretRef": {"name": "unseen"}}]
    assert not re.search("password|auth|access", json.dumps(container["env"]), re.IGNORECASE)
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    threads = int(container["env"]["UNSEEN_THREADS"])
    assert threads == int(container["resources"]["requests"]["cpu"])


def test_files_and_variables_named_in_the_notes_exist() -> None:
    notes = (RECIPES / "kubernetes" / "README.md").read_text()
    named = set(re.findall(r"deployments/[\w./-]+", notes))
    assert named
    assert all((ROOT / name).is_file() for name in named)
    for pool in re.findall(r"work-pool create .* (\w+)$", notes, re.MULTILINE):
        assert pool in POOLS
