"""Spring's and Testcontainers' properties, which stand in `docs/examples` as text.

Every name in them that is ours or another image's, every port and every login is tried on the broker. No Java runs here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable

import boto3
import botocore.config
import botocore.session
import pika
import pytest
import yaml

from broker import Broker
from broker import wait_until
from conftest import TESTS
from containers.dockerfile import last_stage
from readme.blocks import FENCE

ROOT = TESTS.parent
SPRING = FENCE.findall((ROOT / "docs/examples/spring.md").read_text())
CONTAINERS = FENCE.findall((ROOT / "docs/examples/testcontainers.md").read_text())

# What the module of RabbitMQ adds to an environment, and what each kind of container waits for.
RABBITMQ_MODULE = {"RABBITMQ_DEFAULT_USER": "guest", "RABBITMQ_DEFAULT_PASS": "guest"}
RABBITMQ_WAITS_FOR = ".*Server startup complete.*"


def image_defaults() -> dict[str, str]:
    """The environment that the image sets."""
    stage = last_stage(ROOT / "Dockerfile")
    [environment] = [instruction.arguments for instruction in stage if instruction.name == "ENV"]
    return dict(pair.split("=", 1) for pair in environment.split())


def default_port(listener: str) -> int:
    """The port of a listener where nobody says otherwise, as the binary has it."""
    environment = {"PATH": os.environ["PATH"]}
    command = [os.environ["VIADUCT_BIN"], "config", "print", "--effective"]
    text = subprocess.check_output(command, env=environment, cwd="/", text=True)
    return int(re.search(rf'^listeners\.{listener} = ".*:(\d+)"', text, re.MULTILINE)[1])


# --- Spring ---------------------------------------------------------------------------------


def flat(tree: dict, path: str = "") -> dict[str, str]:
    """YAML as properties."""
    found = {}
    for key, value in tree.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            found |= flat(value, name)
        else:
            found[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return found


def properties() -> dict[str, str]:
    [text] = [text for language, text in SPRING if language == "properties"]
    return dict(line.split("=", 1) for line in text.splitlines() if line)


def parameters(found: dict[str, str], broker, **other) -> pika.ConnectionParameters:
    credentials = pika.PlainCredentials(found["spring.rabbitmq.username"], found["spring.rabbitmq.password"])
    vhost = found.get("spring.rabbitmq.virtual-host", "/")
    return pika.ConnectionParameters("127.0.0.1", broker.amqp_port, vhost, credentials, **other)


def sqs_of(found: dict[str, str], broker):
    prefix = "spring.cloud.aws"
    return boto3.client(
        "sqs",
        endpoint_url=broker.aws_url,
        region_name=found[f"{prefix}.region.static"],
        aws_access_key_id=found[f"{prefix}.credentials.access-key"],
        aws_secret_access_key=found[f"{prefix}.credentials.secret-key"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def rabbitmq_logs_in(found: dict[str, str], broker, name: str) -> None:
    """What Spring AMQP does with these: heartbeat, confirms, returns; and the property that Actuator reads."""
    heartbeat = int(found["spring.rabbitmq.requested-heartbeat"].removesuffix("s"))
    with pika.BlockingConnection(parameters(found, broker, heartbeat=heartbeat)) as connection:
        assert connection._impl.server_properties["version"]
        channel = connection.channel()
        assert found["spring.rabbitmq.publisher-confirm-type"] == "correlated"
        channel.confirm_delivery()
        assert found["spring.rabbitmq.publisher-returns"] == "true"
        with pytest.raises(pika.exceptions.UnroutableError):
            channel.basic_publish("", name, b"to nobody", mandatory=True)


def sqs_logs_in(found: dict[str, str], broker, name: str) -> None:
    """`queue-not-found-strategy=create` asks for a queue, and makes it when it isn't there."""
    sqs = sqs_of(found, broker)
    assert found["spring.cloud.aws.sqs.queue-not-found-strategy"] == "create"
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName=name)
    assert sqs.create_queue(QueueName=name)["QueueUrl"].startswith(broker.aws_url)


def is_default_port(listener: str) -> Callable[[str], bool]:
    return lambda value: int(value.rpartition(":")[2]) == default_port(listener)


def is_region(value: str) -> bool:
    return value in botocore.session.get_session().get_available_regions("sqs")


# Every property that the page names, and what its value must be; those that log in are tried together below.
TRIED_BY_LOGIN = None
KNOWN = {
    "spring.rabbitmq.host": lambda value: value == "localhost",
    "spring.rabbitmq.port": is_default_port("amqp"),
    "spring.rabbitmq.username": TRIED_BY_LOGIN,
    "spring.rabbitmq.password": TRIED_BY_LOGIN,
    "spring.rabbitmq.virtual-host": TRIED_BY_LOGIN,
    "spring.rabbitmq.publisher-confirm-type": TRIED_BY_LOGIN,
    "spring.rabbitmq.publisher-returns": TRIED_BY_LOGIN,
    "spring.rabbitmq.requested-heartbeat": TRIED_BY_LOGIN,
    "spring.cloud.aws.endpoint": is_default_port("aws"),
    "spring.cloud.aws.region.static": is_region,
    "spring.cloud.aws.credentials.access-key": TRIED_BY_LOGIN,
    "spring.cloud.aws.credentials.secret-key": TRIED_BY_LOGIN,
    "spring.cloud.aws.sqs.queue-not-found-strategy": TRIED_BY_LOGIN,
}


def test_spring_properties_are_what_the_broker_takes(broker, name):
    found = properties()
    assert set(found) == set(KNOWN)
    for key, fits in KNOWN.items():
        assert fits is TRIED_BY_LOGIN or fits(found[key]), f"{key}={found[key]}"
    rabbitmq_logs_in(found, broker, name)
    sqs_logs_in(found, broker, name)


def test_a_wrong_value_would_be_seen(broker, name):
    found = properties()
    assert not KNOWN["spring.rabbitmq.port"]("5673")
    assert not KNOWN["spring.cloud.aws.endpoint"]("http://localhost:4567")
    assert not KNOWN["spring.cloud.aws.region.static"]("moon-1")
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        rabbitmq_logs_in(found | {"spring.rabbitmq.password": "wrong"}, broker, name)
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch|signature"):
        sqs_of(found | {"spring.cloud.aws.credentials.secret-key": "wrong"}, broker).list_queues()


def test_yaml_and_properties_say_the_same():
    [text] = [text for language, text in SPRING if language == "yaml"]
    assert flat(yaml.safe_load(text)) == properties()


# --- Testcontainers -------------------------------------------------------------------------


def snippet(kind: str) -> str:
    [text] = [text for language, text in CONTAINERS if language == "java" and f"new {kind}" in text]
    return text


def environment_of(text: str) -> dict[str, str]:
    return dict(re.findall(r'\.withEnv\("(\w+)", "(.*?)"\)', text))


def ports_of(text: str) -> set[int]:
    return {int(port) for port in re.search(r"\.withExposedPorts\(([\d, ]+)\)", text)[1].split(",")}


def container(environment: dict[str, str], folder, monkeypatch) -> Broker:
    """A process in the environment of a container; free ports are the only difference."""
    for name, value in (image_defaults() | environment).items():
        monkeypatch.setenv(name, value)
    return Broker(os.environ["VIADUCT_BIN"], folder)


def prints(running: Broker, pattern: str) -> bool:
    """Whether a line that the broker prints is what a module waits for, as Java's `matches` has it."""
    lines = running.stdout_path.read_text().splitlines(keepends=True)
    return any(re.fullmatch(f"(?s){pattern}", line) for line in lines)


def test_the_image_listens_where_the_snippets_connect():
    listeners = [value for name, value in image_defaults().items() if "__LISTENERS__" in name]
    ports = {int(value.rpartition(":")[2]) for value in listeners}
    exposed = [instruction.arguments for instruction in last_stage(ROOT / "Dockerfile") if instruction.name == "EXPOSE"]
    assert {int(port) for port in exposed[0].split()} == ports
    for kind in ("RabbitMQContainer", "GenericContainer"):
        assert ports_of(snippet(kind)) <= ports
        assert set(map(int, re.findall(r"getMappedPort\((\d+)\)", snippet(kind)))) <= ports_of(snippet(kind))
    assert ports_of(snippet("RabbitMQContainer")) == {default_port("amqp"), default_port("aws")}


def test_the_broker_stands_in_for_rabbitmq(tmp_path, monkeypatch, name):
    text = snippet("RabbitMQContainer")
    assert '.asCompatibleSubstituteFor("rabbitmq")' in text
    running = container(RABBITMQ_MODULE | environment_of(text), tmp_path, monkeypatch)
    try:
        running.start()
        wait_until("the module would go on", lambda: prints(running, RABBITMQ_WAITS_FOR))
        found = {"spring.rabbitmq.username": "guest", "spring.rabbitmq.password": "guest"}
        found |= dict(re.findall(r'registry\.add\("([\w.-]+)", \(\) -> "([^"]+)"\)', text))
        assert set(re.findall(r'registry\.add\("([\w.-]+)"', text)) <= set(KNOWN)
        with pika.BlockingConnection(parameters(found, running)) as connection:
            connection.channel().queue_declare(name, durable=True)
        sqs = sqs_of(found, running)
        assert sqs.get_queue_url(QueueName=name)["QueueUrl"].startswith(running.aws_url)
    finally:
        running.close()


def test_each_container_is_started():
    for kind in ("RabbitMQContainer", "GenericContainer"):
        assert re.search(rf"@Container\n *static final {kind}\b", snippet(kind))
    assert re.search(r"^@Testcontainers\nclass ", snippet("RabbitMQContainer"), re.MULTILINE)


def test_the_user_of_the_environment_is_in_the_place_of_guest(tmp_path, monkeypatch, name):
    """As in RabbitMQ's image; containers/test_daemon_image.py tries it from outside of a container, too."""
    values = {"RABBITMQ_DEFAULT_USER": "app", "RABBITMQ_DEFAULT_PASS": "secret"}
    running = container(values, tmp_path, monkeypatch)
    try:
        running.start()
        app = {"spring.rabbitmq.username": "app", "spring.rabbitmq.password": "secret"}
        guest = {"spring.rabbitmq.username": "guest", "spring.rabbitmq.password": "guest"}
        with pika.BlockingConnection(parameters(app, running)) as connection:
            connection.channel().queue_declare(name, durable=True)
        with pytest.raises(pika.exceptions.ProbableAuthenticationError):
            pika.BlockingConnection(parameters(guest, running))
    finally:
        running.close()


def test_the_broker_stands_in_for_localstack(tmp_path, monkeypatch, name):
    text = snippet("GenericContainer")
    running = container(environment_of(text), tmp_path, monkeypatch)
    try:
        running.start()
        pattern = re.search(r'forLogMessage\("(.*)", 1\)', text)[1].replace("\\\\", "\\")
        wait_until("the container would go on", lambda: prints(running, pattern))
        any_keys = {
            "spring.cloud.aws.region.static": "eu-west-3",
            "spring.cloud.aws.credentials.access-key": "whoever",
            "spring.cloud.aws.credentials.secret-key": "whatever",
        }
        assert sqs_of(any_keys, running).create_queue(QueueName=name)["QueueUrl"].startswith(running.aws_url)
    finally:
        running.close()
