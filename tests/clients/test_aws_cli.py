"""The AWS command line: the ten steps as SQS has them, each command a process as a user would run it."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import subprocess
import sys

import awscli.clidriver
import pytest

from clients import expected

AWS = pathlib.Path(sys.executable).with_name("aws")


def aws(broker, *arguments: str, fails: bool = False):
    """Runs `aws sqs …` and returns its JSON, or its error text where it `fails`."""
    # By --endpoint-url: for SQS, version 1 of the tool does not look at AWS_ENDPOINT_URL.
    command = [str(AWS), "--endpoint-url", broker.aws_url, "sqs", *arguments, "--output", "json"]
    ended = subprocess.run(command, env=broker.aws_environment, capture_output=True, text=True, timeout=60)
    if fails:
        assert ended.returncode != 0, f"{command} succeeds, and should not"
        return ended.stderr
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout) if ended.stdout.strip() else None


def create(broker, name: str) -> str:
    return aws(broker, "create-queue", "--queue-name", name)["QueueUrl"]


def receive(broker, url: str, *options: str) -> list[dict]:
    answer = aws(broker, "receive-message", "--queue-url", url, "--wait-time-seconds", "5", *options)
    return (answer or {}).get("Messages", [])


def test_connect_and_declare(broker, name):
    url = create(broker, name)
    assert url in aws(broker, "list-queues", "--queue-name-prefix", name)["QueueUrls"]
    attributes = aws(broker, "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"]
    assert attributes["VisibilityTimeout"] == "30"


def test_send_1000(broker, name, monkeypatch):
    """A hundred batches through the tool's own driver in this process: a hundred interpreters would take minutes."""
    url = create(broker, name)
    for key, value in broker.aws_environment.items():
        monkeypatch.setenv(key, value)
    driver = awscli.clidriver.create_clidriver()
    for start in range(0, expected.COUNT, 10):
        entries = [{"Id": f"{n}", "MessageBody": f"{start + n}"} for n in range(10)]
        with contextlib.redirect_stdout(io.StringIO()) as out:
            command = ["sqs", "send-message-batch", "--queue-url", url, "--entries", json.dumps(entries)]
            code = driver.main(["--endpoint-url", broker.aws_url, *command])
        assert code == 0 and len(json.loads(out.getvalue())["Successful"]) == 10
    names = "ApproximateNumberOfMessages"
    counted = aws(broker, "get-queue-attributes", "--queue-url", url, "--attribute-names", names)["Attributes"]
    assert counted == {names: f"{expected.COUNT}"}


def test_receive_release_and_delete(broker, name):
    url = create(broker, name)
    aws(broker, "send-message", "--queue-url", url, "--message-body", "body")
    first, = receive(broker, url)
    release = ["--receipt-handle", first["ReceiptHandle"], "--visibility-timeout", "0"]
    aws(broker, "change-message-visibility", "--queue-url", url, *release)
    second, = receive(broker, url, "--attribute-names", "All")
    assert second["Body"] == "body" and second["Attributes"]["ApproximateReceiveCount"] == "2"
    aws(broker, "delete-message", "--queue-url", url, "--receipt-handle", second["ReceiptHandle"])
    left = aws(broker, "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")["Attributes"]
    assert (left["ApproximateNumberOfMessages"], left["ApproximateNumberOfMessagesNotVisible"]) == ("0", "0")


def test_large_body_and_attributes(broker, name, tmp_path):
    url = create(broker, name)
    body = tmp_path / "body"
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße"},
        "number": {"DataType": "Number", "StringValue": "42"},
    }
    size = len(json.dumps(attributes))  # more than what counts of them
    body.write_text(expected.LARGE_SQS[size:])
    message = ["--message-body", f"file://{body}", "--message-attributes", json.dumps(attributes)]
    aws(broker, "send-message", "--queue-url", url, *message)
    received, = receive(broker, url, "--message-attribute-names", "All")
    assert received["Body"] == body.read_text()
    assert received["MessageAttributes"] == attributes


def test_error_texts(broker, name):
    text = aws(broker, "get-queue-url", "--queue-name", name, fails=True)
    assert "(AWS.SimpleQueueService.NonExistentQueue) when calling the GetQueueUrl operation" in text
    assert "The specified queue does not exist" in text


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_broker_restart(broker, name, how):
    url = create(broker, name)
    aws(broker, "send-message", "--queue-url", url, "--message-body", "kept")
    broker.restart(how)
    message, = receive(broker, url)
    assert message["Body"] == "kept"
