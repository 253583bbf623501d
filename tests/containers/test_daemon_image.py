"""The image in a daemon: what it is made of, and how it behaves as a container."""

from __future__ import annotations

import re
import sys
import time

import pytest

from conftest import TESTS

PUBLISH = """
import pika
connection = pika.BlockingConnection(pika.URLParameters("amqp://guest:guest@127.0.0.1:5672/%2F?connection_attempts=20"))
channel = connection.channel()
channel.queue_declare("kept", durable=True)
channel.confirm_delivery()
channel.basic_publish("", "kept", b"BODY", pika.BasicProperties(delivery_mode=2), mandatory=True)
connection.close()
"""

RECEIVE = """
import boto3
sqs = boto3.client("sqs", endpoint_url="http://127.0.0.1:4566", region_name="us-east-1",
                   aws_access_key_id="test", aws_secret_access_key="test")
queue = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=10)["Messages"]:
    print(message["Body"])
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
"""

# Prints whether the broker lets a user in.
LOG_IN = """
import pika, sys
try:
    pika.BlockingConnection(pika.URLParameters("amqp://USER:PASSWORD@127.0.0.1:5672/%2F")).close()
    print("is let in")
except pika.exceptions.ProbableAuthenticationError:
    print("is refused")
"""

# A loaded machine may be late once; the broker itself needs some 50 ms.
TRIES = 3


def python(daemon, program: str) -> str:
    return daemon.inside([sys.executable, "-c", program]).stdout


def test_the_image_holds_the_binary_and_nothing_else(daemon, image, tmp_path):
    archive = tmp_path / "image.tar"
    daemon.docker("create", "--name=content", image)
    try:
        daemon.docker("export", f"--output={archive}", "content")
    finally:
        daemon.docker("rm", "content")
    listed = daemon.run(["tar", "--list", f"--file={archive}"]).stdout.split()
    # Docker itself adds mount points for what it mounts into every container.
    mounted = (".dockerenv", "dev/", "etc/", "proc/", "sys/")
    own = [path for path in listed if not path.startswith(mounted)]
    assert own == ["data/", "usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/viaduct"]


def test_the_image_says_what_it_is(daemon, image):
    config = daemon.inspect(image)["Config"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/viaduct", "health"]
    assert config["Volumes"] == {"/data": {}}
    assert set(config["ExposedPorts"]) == {"5672/tcp", "4566/tcp", "15692/tcp"}
    assert config["Labels"]["org.opencontainers.image.title"] == "Viaduct"
    assert config["Labels"]["org.springframework.boot.service-connection"] == "rabbitmq"


def test_it_runs_as_nobody_in_particular_on_a_root_that_cannot_be_written(daemon, container):
    users = daemon.docker("top", container.name, "-eo", "pid,uid,comm").stdout.splitlines()[1:]
    assert [line.split()[1:] for line in users] == [["65532", "viaduct"]]
    assert daemon.inspect(container.name)["HostConfig"]["ReadonlyRootfs"]
    # What it wrote is in the volume alone.
    assert daemon.docker("diff", container.name).stdout == ""
    lines = container.logs().splitlines()
    assert "Server startup complete" in lines and "Ready." in lines


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_data_is_kept(daemon, container, end):
    for body in ("first", "second"):
        python(daemon, PUBLISH.replace("BODY", body))
        if end == "restart":
            daemon.docker("restart", container.name)
        else:
            daemon.docker("kill", container.name)
            daemon.docker("start", container.name)
        container.wait_healthy()
    assert python(daemon, RECEIVE).split() == ["first", "second"]


def test_data_is_kept_in_the_volume_of_a_container_that_is_no_more(daemon, container, image):
    python(daemon, PUBLISH.replace("BODY", "kept"))
    options = daemon.inspect(container.name)
    daemon.docker("rm", "--force", container.name)
    ports = [f"--publish=127.0.0.1:{port}:{port}" for port in (5672, 4566)]
    environment = [f"--env={pair}" for pair in options["Config"]["Env"] if pair.startswith("VIADUCT__")]
    volume = f"--volume={container.name}:/data"
    health = "--health-interval=500ms"
    daemon.docker("run", "--detach", f"--name={container.name}", volume, health, *ports, *environment, image)
    container.wait_healthy()
    assert python(daemon, RECEIVE).split() == ["kept"]


def test_it_stops_within_a_second_and_says_so(daemon, container):
    took = []
    for _ in range(TRIES):
        start = time.monotonic()
        daemon.docker("stop", container.name)
        took.append(time.monotonic() - start)
        assert container.state()["ExitCode"] == 0, container.logs()
        if took[-1] < 1:
            break
        daemon.docker("start", container.name)
        container.wait_healthy()
    assert min(took) < 1, took
    assert "stopped, everything is on the disk" in container.logs()


def environment(**values: str) -> list[str]:
    return [f"--env={name}={value}" for name, value in values.items()]


def test_an_environment_that_was_written_for_other_images_is_understood(daemon, start):
    container = start(*environment(EDGE_PORT="4570", SERVICES="sqs,s3"))
    ended = daemon.docker("logs", container.name)
    assert ":4570 " in ended.stdout, ended.stdout
    assert "not in this version: s3" in ended.stderr, ended.stderr


@pytest.mark.parametrize(("user", "password"), [("app", "secret"), ("guest", "guest")])
def test_the_user_of_the_environment_may_come_from_anywhere_and_is_the_only_one(daemon, start, user, password):
    options = environment(RABBITMQ_DEFAULT_USER=user, RABBITMQ_DEFAULT_PASS=password)
    container = start("--publish=127.0.0.1:5672:5672", *options)
    log_ins = {("guest", "guest"): "is refused\n", (user, "wrong"): "is refused\n"}
    log_ins[user, password] = "is let in\n"
    for (name, secret), expected in log_ins.items():
        program = [sys.executable, "-c", LOG_IN.replace("USER", name).replace("PASSWORD", secret)]
        # Where the default user would be let in, and where only an ordinary one is.
        assert daemon.beside(container.name, program).stdout == expected, name
        assert daemon.inside(program).stdout == expected, name


def test_without_a_word_the_default_user_may_come_from_the_container_only(daemon, start):
    container = start("--publish=127.0.0.1:5672:5672")
    program = [sys.executable, "-c", LOG_IN.replace("USER", "guest").replace("PASSWORD", "guest")]
    assert daemon.beside(container.name, program).stdout == "is let in\n"
    assert daemon.inside(program).stdout == "is refused\n"


def test_it_runs_as_the_head_of_its_dockerfile_says(daemon, start):
    """Both doors are open to this machine, with the default user and keys."""
    head = (TESTS.parent / "Dockerfile").read_text().partition("\nFROM ")[0]
    [written] = re.findall(r"^#   docker run ((?:.*\\\n#)*.*)$", head, re.MULTILINE)
    volume, name, *options, image = written.replace("\\\n#", " ").split()
    assert [volume, name, image] == ["-v", "viaduct:/data", "viaduct"]  # every container here has a volume of its own
    start(*options)
    python(daemon, PUBLISH.replace("BODY", "as-written"))
    assert python(daemon, RECEIVE).split() == ["as-written"]
