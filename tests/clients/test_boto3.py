"""boto3, the AWS SDK for Python: the ten steps as SQS has them.

A confirmed publish is an HTTP 200, an ack is DeleteMessage, a nack is ChangeMessageVisibility to 0. boto3 checks
the MD5 of every body itself; the digests of attributes are checked here.
"""

from __future__ import annotations

import hashlib
import struct

import botocore.exceptions
import pytest

from broker import wait_until
from clients import expected
from conftest import sqs_client

ATTRIBUTES = {
    "text": {"DataType": "String", "StringValue": "grüße, 世界"},
    "labelled": {"DataType": "String.uuid", "StringValue": "0b8f"},
    "number": {"DataType": "Number", "StringValue": "-12345678901234567890.125"},
    "int": {"DataType": "Number.int", "StringValue": "42"},
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff\xfe"},
    "png": {"DataType": "Binary.png", "BinaryValue": b"\x89PNG"},
}


def create(sqs, name: str, **attributes: str) -> str:
    return sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def receive(sqs, url: str, **options) -> list[dict]:
    """One ReceiveMessage that asks for everything and waits up to 10 s."""
    options = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 10} | options
    answer = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"], **options
    )
    return answer.get("Messages", [])


def receive_one(sqs, url: str, **options) -> dict:
    messages = receive(sqs, url, MaxNumberOfMessages=1, **options)
    assert messages, "no message within the wait time"
    return messages[0]


def send_all(sqs, url: str, bodies: list[str]) -> None:
    for start in range(0, len(bodies), 10):
        entries = [{"Id": f"{n}", "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])]
        answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
        assert len(answer["Successful"]) == len(entries) and not answer.get("Failed")


def md5_of_attributes(attributes: dict[str, dict]) -> str:
    """The digest as the SQS developer guide describes it ("Calculating the MD5 message digest")."""
    digest = hashlib.md5()

    def field(value: bytes) -> None:
        digest.update(struct.pack(">I", len(value)) + value)

    for name, attribute in sorted(attributes.items()):
        field(name.encode())
        field(attribute["DataType"].encode())
        binary = attribute["DataType"].startswith("Binary")
        digest.update(b"\x02" if binary else b"\x01")
        field(attribute["BinaryValue"] if binary else attribute["StringValue"].encode())
    return digest.hexdigest()


def error_code(raised) -> tuple[int, str]:
    response = raised.value.response
    return response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]


def test_connect(sqs, name):
    url = create(sqs, name)
    assert url.startswith(sqs.meta.endpoint_url) and url.endswith(f"/{name}")
    assert url in sqs.list_queues(QueueNamePrefix=name)["QueueUrls"]


def test_declare(sqs, name):
    url = create(sqs, name, VisibilityTimeout="7", DelaySeconds="1")
    assert create(sqs, name, VisibilityTimeout="7") == url, "a re-creation compares only what it names"
    assert sqs.get_queue_url(QueueName=name)["QueueUrl"] == url
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["VisibilityTimeout"], attributes["DelaySeconds"]) == ("7", "1")
    assert attributes["QueueArn"].endswith(f":{name}")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "0"})
    changed = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["DelaySeconds"])["Attributes"]
    assert changed == {"DelaySeconds": "0"}


def test_send_1000_and_receive_all(sqs, name):
    url = create(sqs, name)
    sent = [f"{n}" for n in range(expected.COUNT)]
    send_all(sqs, url, sent)
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert counted == {"ApproximateNumberOfMessages": f"{expected.COUNT}"}

    received = []
    while len(received) < len(sent):
        messages = receive(sqs, url)
        assert messages, f"only {len(received)} of {len(sent)} arrived"
        received += [message["Body"] for message in messages]
        entries = [{"Id": f"{n}", "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        assert len(sqs.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == len(entries)
    assert sorted(received, key=int) == sent


def test_delete_removes(sqs, name):
    url = create(sqs, name)
    sqs.send_message(QueueUrl=url, MessageBody="once")
    message = receive_one(sqs, url, VisibilityTimeout=0)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])  # deleting twice is fine
    assert receive(sqs, url, WaitTimeSeconds=0) == []


def test_visibility_zero_returns_and_counts(sqs, name):
    url = create(sqs, name)
    sqs.send_message(QueueUrl=url, MessageBody="again")
    first = receive_one(sqs, url)
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert receive(sqs, url, WaitTimeSeconds=0) == [], "a received message is invisible"
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    second = receive_one(sqs, url)
    assert second["MessageId"] == first["MessageId"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    assert second["ReceiptHandle"] != first["ReceiptHandle"]


def test_visibility_timeout_returns_by_itself(sqs, name):
    url = create(sqs, name, VisibilityTimeout="1")
    sqs.send_message(QueueUrl=url, MessageBody="late")
    first = receive_one(sqs, url)
    second = receive_one(sqs, url)
    assert second["MessageId"] == first["MessageId"]


def test_large_body(sqs, name):
    url = create(sqs, name)
    sqs.send_message(QueueUrl=url, MessageBody=expected.LARGE_SQS)
    assert receive_one(sqs, url)["Body"] == expected.LARGE_SQS
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        sqs.send_message(QueueUrl=url, MessageBody=expected.LARGE_SQS + "x")
    assert error_code(refused) == (400, "InvalidParameterValue")


def test_all_attributes(sqs, name):
    url = create(sqs, name)
    sent = sqs.send_message(QueueUrl=url, MessageBody="tab\tcr\r\nü", MessageAttributes=ATTRIBUTES)
    assert sent["MD5OfMessageAttributes"] == md5_of_attributes(ATTRIBUTES)
    message = receive_one(sqs, url)
    assert message["Body"] == "tab\tcr\r\nü"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"] == ATTRIBUTES
    assert message["MD5OfMessageAttributes"] == md5_of_attributes(ATTRIBUTES)
    system = message["Attributes"]
    assert {"SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp"} <= set(system)

    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    some = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["num*", "te.*", "int"], WaitTimeSeconds=5)
    only = some["Messages"][0]["MessageAttributes"]
    assert set(only) <= {"int", "number", "text"} and "int" in only
    assert some["Messages"][0]["MD5OfMessageAttributes"] == md5_of_attributes(only)


def test_error_texts(sqs, name):
    with pytest.raises(sqs.exceptions.QueueDoesNotExist) as missing:
        sqs.get_queue_url(QueueName=name)
    assert error_code(missing) == (400, "AWS.SimpleQueueService.NonExistentQueue")

    url = create(sqs, name, VisibilityTimeout="30")
    with pytest.raises(sqs.exceptions.QueueNameExists) as exists:
        create(sqs, name, VisibilityTimeout="31")
    assert error_code(exists) == (400, "QueueAlreadyExists")
    with pytest.raises(sqs.exceptions.ReceiptHandleIsInvalid):
        sqs.delete_message(QueueUrl=url, ReceiptHandle="garbage")
    with pytest.raises(sqs.exceptions.InvalidMessageContents):
        sqs.send_message(QueueUrl=url, MessageBody="\x01")
    with pytest.raises(sqs.exceptions.EmptyBatchRequest):
        sqs.send_message_batch(QueueUrl=url, Entries=[])
    with pytest.raises(botocore.exceptions.ClientError) as fifo:
        create(sqs, f"{name}.fifo", FifoQueue="true")
    assert error_code(fifo) == (400, "AWS.SimpleQueueService.UnsupportedOperation")


def test_signatures_are_verified(broker):
    import boto3

    def client(key: str, secret: str):
        keys = {"aws_access_key_id": key, "aws_secret_access_key": secret}
        return boto3.client("sqs", endpoint_url=broker.aws_url, region_name="us-east-1", **keys)

    with pytest.raises(botocore.exceptions.ClientError) as unknown:
        client("nobody", "test").list_queues()
    assert error_code(unknown) == (403, "InvalidClientTokenId")
    with pytest.raises(botocore.exceptions.ClientError) as wrong:
        client("test", "wrong").list_queues()
    assert error_code(wrong) == (403, "SignatureDoesNotMatch")


def test_purge_and_delete(sqs, name):
    url = create(sqs, name)
    send_all(sqs, url, ["1", "2", "3"])
    receive_one(sqs, url)
    sqs.purge_queue(QueueUrl=url)

    def is_empty():
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return set(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()) == {"0"}

    wait_until("the queue is purged, leased messages too", is_empty)
    sqs.delete_queue(QueueUrl=url)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.send_message(QueueUrl=url, MessageBody="too late")


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_broker_restart(broker, name, how):
    before = sqs_client(broker)
    url = create(before, name, VisibilityTimeout="40")
    before.send_message(QueueUrl=url, MessageBody="kept", MessageAttributes=ATTRIBUTES)
    before.send_message(QueueUrl=url, MessageBody="gone")
    held = receive_one(before, url)
    gone = receive_one(before, url)
    assert (held["Body"], gone["Body"]) == ("kept", "gone")
    before.delete_message(QueueUrl=url, ReceiptHandle=gone["ReceiptHandle"])

    broker.restart(how)

    after = sqs_client(broker)
    assert after.get_queue_url(QueueName=name)["QueueUrl"] == url
    attributes = after.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
    assert attributes == {"VisibilityTimeout": "40"}
    if how == "SIGTERM":
        # The lease belongs to nobody, so it outlives the broker, and its handle still settles it.
        assert receive(after, url, WaitTimeSeconds=0) == []
        after.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    again = receive_one(after, url, WaitTimeSeconds=20) if how == "SIGTERM" else kept_after_crash(after, url, held)
    assert (again["Body"], again["MessageId"]) == ("kept", held["MessageId"])
    assert again["MessageAttributes"] == ATTRIBUTES
    after.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = after.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
    assert set(left.values()) == {"0"}, "what DeleteMessage answered stays deleted"


def kept_after_crash(sqs, url: str, held: dict) -> dict:
    """After a crash the lease is there or not (its record waits for nobody); the message is there."""
    messages = receive(sqs, url, MaxNumberOfMessages=1, WaitTimeSeconds=0)
    if messages:
        return messages[0]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    return receive_one(sqs, url)
