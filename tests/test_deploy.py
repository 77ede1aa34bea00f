"""Deployment files agree with their schemas, with each other and with the program."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from command_line import run
from deploy_files import (
    DEPLOY,
    ROOT,
    SETTINGS,
    dockerfile,
    gateway_settings,
    image_environment,
    needed_package,
    needed_program,
    seconds,
    unit,
    yaml_documents,
)

if TYPE_CHECKING:
    from pathlib import Path

AFTER_DRAIN_S = 10.0
"""What the supervisor waits for after `drain_s`: see `gateway.operations.supervisor`."""
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OLDEST_KUBERNETES = "1.27"
EXPOSURE = 2.0
"""`systemd-analyze security` calls up to 2 fine; a service without settings has 9.6."""


def is_command(*arguments: str) -> bool:
    """Whether `fusionfactory` has this verb with these options."""
    return run("--config", str(SETTINGS), *arguments, "--help") == 0


def gateways() -> dict[str, Any]:
    """The compose file's services that are gateways."""
    (compose,) = yaml_documents("compose.yaml")
    return {name: s for name, s in compose["services"].items() if name.startswith("gateway-")}


def workload() -> tuple[Any, Any]:
    """The stateful set's specification, and that of its container."""
    (document,) = yaml_documents("kubernetes", "statefulset.yaml")
    (container,) = document["spec"]["template"]["spec"]["containers"]
    return document["spec"], container


def needed_variables() -> set[str]:
    """What the settings take from the environment."""
    return {endpoint.api_key_env for endpoint in gateway_settings().endpoints}


# The settings


def test_the_settings_hold_no_secret_and_ask_for_keys() -> None:
    config = gateway_settings()
    assert config.store is not None
    assert "@" not in config.store
    assert config.serve.needs_keys
    assert config.serve.host == "0.0.0.0"  # noqa: S104  of the container


# The image


def test_the_image_starts_the_gateway_with_the_settings() -> None:
    image = dict(dockerfile())
    command = [*json.loads(image["ENTRYPOINT"]), *json.loads(image["CMD"])]
    assert command[0] == "fusionfactory"
    assert is_command(*command[1:])
    assert image["EXPOSE"] == str(gateway_settings().serve.port)
    assert gateway_settings().serve.state.is_relative_to(image["VOLUME"])


def test_the_image_does_not_run_as_root() -> None:
    image = dict(dockerfile())
    user, _, group = image["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0


def test_the_image_takes_its_settings_from_where_the_deployments_put_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = image_environment()["FUSIONFACTORY_CONFIG"]
    mounts = [mount for s in gateways().values() for mount in s["volumes"]]
    assert {m.split(":")[1] for m in mounts if m.startswith("./")} == {named.rpartition("/")[0]}
    assert named.rpartition("/")[2] == SETTINGS.name
    monkeypatch.setenv("FUSIONFACTORY_CONFIG", "/there/is/none.toml")
    assert run("keys", "list") != 0  # so the variable is read


def test_what_the_image_installs_is_in_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (installed,) = re.findall(r"^ARG EXTRAS=(.+)$", text, re.MULTILINE)
    (suggested,) = re.findall(r"^#.* EXTRAS=(.+)$", text, re.MULTILINE)
    assert {"gateway", "postgres"} <= set(installed.split(","))
    assert {*installed.split(","), *suggested.split(",")} <= set(project["optional-dependencies"])


def test_what_the_image_copies_is_in_its_context() -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    copied = [rest.split()[:-1] for name, rest in dockerfile() if name == "COPY"]
    sources = [source for words in copied for source in words if not words[0].startswith("--from")]
    assert sources
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored


# Compose


def test_what_the_page_runs_in_a_gateway_is_a_command() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    run_by_compose = re.findall(
        r"^docker compose run --rm (\S+) (.+?)(?: +#.*)?$", page, re.MULTILINE
    )
    run_by_kubectl = re.findall(r"kubectl exec (fusionfactory-0) -- fusionfactory ([^`]+)`", page)
    assert len(run_by_compose) >= 2
    assert run_by_kubectl
    for name, line in run_by_compose:
        assert name in gateways()
        assert is_command(*shlex.split(line))
    for _, line in run_by_kubectl:
        assert is_command(*shlex.split(line))


def test_the_compose_file_is_one() -> None:
    compose_spec = needed_package("compose_spec")
    options = compose_spec.PyOptions(apply_merge=True)
    found = options.from_yaml((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    found.validate()
    assert len(gateways()) >= 2


def test_every_gateway_of_the_compose_file_has_a_folder_of_its_own_and_time_to_end() -> None:
    states = []
    for service in gateways().values():
        (state,) = [m for m in service["volumes"] if m.endswith(dict(dockerfile())["VOLUME"])]
        states.append(state)
        grace = seconds(service["stop_grace_period"])
        assert grace >= gateway_settings().serve.drain_s + AFTER_DRAIN_S
        assert needed_variables() <= set(service["environment"])
    assert len(set(states)) == len(states)


def test_what_the_compose_file_takes_from_outside_is_in_the_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    example = (DEPLOY / "environment.example").read_text(encoding="utf-8")
    (compose,) = yaml_documents("compose.yaml")
    asked = set(re.findall(r"\$\{([A-Z_]+)", text))
    asked |= {secret["environment"] for secret in compose["secrets"].values()}
    assert asked == set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE))


def test_what_the_compose_file_mounts_is_there() -> None:
    (compose,) = yaml_documents("compose.yaml")
    volumes = {volume for s in compose["services"].values() for volume in s.get("volumes", [])}
    for source in {volume.split(":")[0] for volume in volumes}:
        assert (DEPLOY / source).exists() if source[0] == "." else source in compose["volumes"]


def test_proxy_and_prometheus_know_every_gateway_of_the_compose_file() -> None:
    (compose,) = yaml_documents("compose.yaml")
    port = gateway_settings().serve.port
    proxy = (DEPLOY / "haproxy.cfg").read_text(encoding="utf-8")
    servers = re.findall(r"^    server (\S+) (\S+)$", proxy, re.MULTILINE)
    assert servers == [(name, f"{name}:{port}") for name in gateways()]
    bound = re.findall(r"bind :(\d+)$", proxy, re.MULTILINE)
    assert compose["services"]["proxy"]["ports"] == [f"{p}:{p}" for p in bound]

    (prometheus,) = yaml_documents("prometheus", "prometheus.yml")
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{name}:{port}" for name in gateways()]}]
    (secret,) = compose["services"]["prometheus"]["secrets"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{secret}"


def test_prometheus_takes_its_files() -> None:
    promtool = needed_program("promtool")
    for kind, path in (("config", "prometheus.yml"), ("rules", "alerts.yml")):
        command = [promtool, "check", kind, str(DEPLOY / "prometheus" / path)]
        if kind == "config":  # the secret that it names is not on this machine
            command.insert(3, "--syntax-only")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


# Kubernetes


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_are_what_kubernetes_takes(path: Path) -> None:
    validator = needed_package("kubernetes_validate")
    for document in yaml_documents("kubernetes", path.name):
        if document["kind"] == "PodMonitor":  # of the Prometheus operator: no kind of Kubernetes
            continue
        for version in (OLDEST_KUBERNETES, validator.latest_version()):
            validator.validate(document, version, strict=True)


def test_a_manifest_with_a_misspelt_field_is_refused() -> None:
    validator = needed_package("kubernetes_validate")
    (document,) = yaml_documents("kubernetes", "disruption.yaml")
    document["spec"]["maxUnavailible"] = 1
    with pytest.raises(validator.ValidationError, match="maxUnavailible"):
        validator.validate(document, validator.latest_version(), strict=True)


def test_the_kustomization_is_made_of_files_that_are_there() -> None:
    (document,) = yaml_documents("kustomization.yaml")
    (settings,) = document["configMapGenerator"]
    for path in (*document["resources"], *settings["files"]):
        assert (DEPLOY / path).exists()
    left = {path.name for path in MANIFESTS} - {
        path.split("/")[-1] for path in document["resources"]
    }
    assert left == {"first-key.yaml", "monitor.yaml"}  # which are applied by themselves


def test_kustomize_builds_what_kubernetes_takes() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run(
        [kubectl, "kustomize", DEPLOY], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    validator = needed_package("kubernetes_validate")
    documents = list(needed_package("yaml").safe_load_all(done.stdout))
    (settings,) = [d["data"] for d in documents if d["kind"] == "ConfigMap"]
    assert settings == {SETTINGS.name: SETTINGS.read_text(encoding="utf-8")}
    for document in documents:
        validator.validate(document, validator.latest_version(), strict=True)


def test_pods_find_their_settings_state_and_port() -> None:
    spec, container = workload()
    image = dict(dockerfile())
    (port,) = container["ports"]
    assert port == {"name": "http", "containerPort": gateway_settings().serve.port}
    assert is_command(*container["args"])
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts[image_environment()["FUSIONFACTORY_CONFIG"].rpartition("/")[0]] == "settings"
    (claim,) = spec["volumeClaimTemplates"]
    assert mounts[image["VOLUME"]] == claim["metadata"]["name"]
    pod = spec["template"]["spec"]
    user = f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert user == image["USER"]
    for document in yaml_documents("kubernetes", "services.yaml"):
        assert document["spec"]["ports"] == [
            {"name": "http", "port": port["containerPort"], "targetPort": "http"}
        ]
        assert (
            document["spec"]["selector"].items() <= spec["template"]["metadata"]["labels"].items()
        )
    assert spec["serviceName"] == document["metadata"]["name"]


def test_pods_have_time_to_end() -> None:
    spec, container = workload()
    _, pause = container["lifecycle"]["preStop"]["exec"]["command"]
    wanted = float(pause) + gateway_settings().serve.drain_s + AFTER_DRAIN_S
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= wanted


def test_the_pod_of_the_first_key_writes_where_the_gateways_read() -> None:
    (document,) = yaml_documents("kubernetes", "first-key.yaml")
    (container,) = document["spec"]["containers"]
    spec, gateway = workload()
    assert is_command(*container["args"])
    assert container["envFrom"] == gateway["envFrom"]
    assert container["volumeMounts"] == gateway["volumeMounts"]
    security = spec["template"]["spec"]["securityContext"]
    assert document["spec"]["securityContext"].items() <= security.items()


# systemd


def test_the_unit_starts_the_gateway_and_lets_it_end() -> None:
    found = unit()
    (start,) = found["ExecStart"]
    program, option, config, *arguments = shlex.split(start)
    assert program.endswith("/bin/fusionfactory")
    assert option == "--config"
    assert config == image_environment()["FUSIONFACTORY_CONFIG"]
    assert is_command(*arguments)
    (stop,) = found["TimeoutStopSec"]
    assert float(stop) >= gateway_settings().serve.drain_s + AFTER_DRAIN_S
    state = f"/var/lib/{found['StateDirectory'][0]}"
    assert gateway_settings().serve.state.is_relative_to(state)
    assert found["KillMode"] == ["mixed"]  # or the ingester would end before the workers


def test_systemd_takes_the_unit_and_finds_it_locked_down(tmp_path: Path) -> None:
    analyze = needed_program("systemd-analyze")
    text = (DEPLOY / "systemd" / "fusionfactory.service").read_text(encoding="utf-8")
    # Neither the program nor its user is on this machine; `bin` is on every one.
    text = text.replace("/opt/fusionfactory/bin/fusionfactory", "/bin/true")
    text = re.sub(r"^(User|Group)=.*$", r"\1=bin", text, flags=re.MULTILINE)
    path = tmp_path / "fusionfactory.service"
    path.write_text(text, encoding="utf-8")
    verified = subprocess.run(
        [analyze, "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    assert verified.stderr == ""  # an unknown setting is a warning
    looked = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={int(EXPOSURE * 10)}", path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert looked.returncode == 0, looked.stdout[-300:]
