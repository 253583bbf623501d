"""RabbitMQ clients and AWS SDKs in one durable queue: what one door takes, the other gives.

The rows of `docs/mapping.md` are proved one by one in Rust; here the crossing is shown with the clients that people
have, with and without a restart of the broker in between.
"""

from __future__ import annotations

import base64
import json
import threading

import pika
import pytest

from broker import wait_until
from clients import expected
from clients.test_boto3 import create, md5_of_attributes, receive, receive_one
from clients.test_pika import PERSISTENT, get
from conftest import sqs_client

BETWEEN = pytest.mark.parametrize("between", ["nothing", "SIGTERM", "SIGKILL"])


def restart(broker, between: str) -> None:
    if between != "nothing":
        broker.restart(between)


def pika_channel(broker):
    channel = pika.BlockingConnection(pika.URLParameters(broker.amqp_url)).channel()
    channel.confirm_delivery()
    return channel


@BETWEEN
def test_pika_to_boto3(broker, name, between):
    channel = pika_channel(broker)
    channel.queue_declare(name, durable=True)
    sent = [f"order {n}: grüße" for n in range(25)]
    for body in sent:
        channel.basic_publish("", name, body.encode(), PERSISTENT, mandatory=True)

    restart(broker, between)

    sqs = sqs_client(broker)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    received = []
    while len(received) < len(sent):
        messages = receive(sqs, url)
        assert messages, f"only {received} arrived"
        for message in messages:
            received.append(message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert received == sent


@BETWEEN
def test_boto3_to_pika(broker, name, between):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    sent = [f"order {n}: grüße" for n in range(25)]
    for body in sent:
        sqs.send_message(QueueUrl=url, MessageBody=body)

    restart(broker, between)

    channel = pika_channel(broker)
    received = []
    for method, properties, body in channel.consume(name, inactivity_timeout=10):
        assert method is not None, f"only {received} arrived"
        assert properties.delivery_mode == 2 and method.redelivered is (between == "SIGKILL")
        received.append(body.decode())
        channel.basic_ack(method.delivery_tag)
        if len(received) == len(sent):
            break
    assert received == sent


def test_headers_become_message_attributes(channel, sqs, name):
    channel.queue_declare(name, durable=True)
    headers = {"text": "grüße", "int": 42, "long": 2**40, "flag": True, "bytes": b"\x00\xff"}
    properties = pika.BasicProperties(delivery_mode=2, headers=headers, content_type="text/plain", correlation_id="c-1")
    channel.basic_publish("", name, b"with headers", properties, mandatory=True)
    message = receive_one(sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"])
    attributes = message["MessageAttributes"]
    assert attributes["text"] == {"StringValue": "grüße", "DataType": "String"}
    for key in ("int", "long"):
        assert attributes[key]["DataType"].startswith("Number") and attributes[key]["StringValue"] == str(headers[key])
    assert attributes["bytes"] == {"BinaryValue": b"\x00\xff", "DataType": "Binary"}
    assert "c-1" in [attribute.get("StringValue") for attribute in attributes.values()], "the correlation id crosses"
    assert message["MD5OfMessageAttributes"] == md5_of_attributes(attributes)


def test_message_attributes_become_headers(channel, sqs, name):
    url = create(sqs, name)
    attributes = {
        "text": {"DataType": "String", "StringValue": "grüße"},
        "int": {"DataType": "Number", "StringValue": "42"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sqs.send_message(QueueUrl=url, MessageBody="with attributes", MessageAttributes=attributes)
    _, properties, body = get(channel, name)
    assert body == b"with attributes"
    assert properties.headers["text"] == "grüße"
    assert str(properties.headers["int"]) == "42"
    assert properties.headers["bytes"] == b"\x00\xff"


def test_more_than_ten_headers_overflow_into_one_attribute(channel, sqs, name):
    channel.queue_declare(name, durable=True)
    headers = {f"h{n:02}": f"value {n}" for n in range(15)}
    channel.basic_publish("", name, b"many", pika.BasicProperties(delivery_mode=2, headers=headers), mandatory=True)
    message = receive_one(sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"])
    attributes = message["MessageAttributes"]
    assert len(attributes) <= 10
    crossed = {key: value["StringValue"] for key, value in attributes.items() if key != "viaduct.headers"}
    overflow = json.loads(attributes["viaduct.headers"]["StringValue"])
    assert set(crossed) | set(overflow) >= set(headers)
    assert all(crossed[key] == headers[key] for key in crossed)


def test_binary_body_is_base64_for_sqs(channel, sqs, name):
    channel.queue_declare(name, durable=True)
    body = bytes(range(256))
    channel.basic_publish("", name, body, PERSISTENT, mandatory=True)
    message = receive_one(sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"])
    assert base64.b64decode(message["Body"], validate=True) == body
    assert message["MessageAttributes"]["JMS_SQSMessageType"]["StringValue"] == "byte"


def test_a_body_above_the_limit_of_sqs_is_delivered_whole(channel, sqs, name):
    channel.queue_declare(name, durable=True)
    body = b"y" * (2 * 1024 * 1024)
    channel.basic_publish("", name, body, PERSISTENT, mandatory=True)
    message = receive_one(sqs, sqs.get_queue_url(QueueName=name)["QueueUrl"])
    assert message["Body"].encode() == body


def test_a_long_poll_wakes_for_a_publish(channel, broker, name):
    sqs = sqs_client(broker)
    url = create(sqs, name)
    answers: list[list[dict]] = []
    poll = threading.Thread(target=lambda: answers.append(receive(sqs, url, WaitTimeSeconds=20)))
    poll.start()
    # The poll stands in the queue's round-robin as a consumer does.
    wait_until("the poll waits", lambda: poll.is_alive())
    channel.basic_publish("", name, b"wake up", PERSISTENT, mandatory=True)
    poll.join(10)
    assert not poll.is_alive(), "a long poll answers when a message comes, not when its time is over"
    assert [message["Body"] for message in answers[0]] == ["wake up"]


def test_a_consumer_wakes_for_send_message(channel, sqs, name):
    url = create(sqs, name)
    messages = channel.consume(name, inactivity_timeout=10)
    sqs.send_message(QueueUrl=url, MessageBody="wake up")
    method, _, body = next(messages)
    assert body == b"wake up"
    channel.basic_ack(method.delivery_tag)
    channel.cancel()


def test_leases_of_both_doors_exclude_each_other(channel, sqs, name):
    url = create(sqs, name)
    sqs.send_message(QueueUrl=url, MessageBody="1")
    sqs.send_message(QueueUrl=url, MessageBody="2")
    held = receive_one(sqs, url)
    method, _, body = get(channel, name)
    assert (held["Body"], body) == ("1", b"2")
    assert receive(sqs, url, WaitTimeSeconds=0) == [] and channel.basic_get(name)[0] is None

    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    method_1, _, body = get(channel, name)
    assert (body, method_1.redelivered) == (b"1", True)
    channel.basic_nack(method.delivery_tag, requeue=True)
    again = receive_one(sqs, url)
    assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == ("2", "2")
    channel.basic_ack(method_1.delivery_tag)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])


def test_purge_through_the_other_door(channel, sqs, name):
    url = create(sqs, name)
    for n in range(3):
        sqs.send_message(QueueUrl=url, MessageBody=f"{n}")
    receive_one(sqs, url)
    assert channel.queue_purge(name).method.message_count == 2, "AMQP purges what is ready"
    counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=counts)["Attributes"]
    assert (left[counts[0]], left[counts[1]]) == ("0", "1")


def test_a_topic_exchange_feeds_an_sqs_queue(channel, sqs, name):
    url = create(sqs, name)
    channel.queue_bind(name, "amq.topic", f"{name}.#")
    channel.basic_publish("amq.topic", f"{name}.7.temp", b"21", PERSISTENT, mandatory=True)
    message = receive_one(sqs, url)
    assert message["Body"] == "21" and "MessageAttributes" not in message, "exchange and key are not shown"


def test_a_thousand_through_both_doors_at_once(broker, name):
    """Producers and consumers of both doors on one queue: every message arrives exactly once."""
    sqs = sqs_client(broker)
    url = create(sqs, name)
    half = expected.COUNT // 2
    received: list[str] = []
    lock = threading.Lock()
    faults: list[BaseException] = []

    def guarded(work):
        def body():
            try:
                work()
            except BaseException as fault:  # shown by the main thread
                faults.append(fault)

        thread = threading.Thread(target=body)
        thread.start()
        return thread

    def send_by_amqp():
        channel = pika_channel(broker)
        for n in range(half):
            channel.basic_publish("", name, f"a{n}".encode(), PERSISTENT, mandatory=True)

    def send_by_sqs():
        client = sqs_client(broker)
        for start in range(0, half, 10):
            entries = [{"Id": f"{n}", "MessageBody": f"s{start + n}"} for n in range(10)]
            assert "Failed" not in client.send_message_batch(QueueUrl=url, Entries=entries)

    def all_arrived() -> bool:
        with lock:
            return len(received) >= expected.COUNT or bool(faults)

    def take_by_amqp():
        channel = pika_channel(broker)
        channel.basic_qos(prefetch_count=10)
        for method, _, body in channel.consume(name, inactivity_timeout=0.2):
            if method is not None:
                with lock:
                    received.append(body.decode())
                channel.basic_ack(method.delivery_tag)
            if all_arrived():
                break
        channel.connection.close()

    def take_by_sqs():
        client = sqs_client(broker)
        while not all_arrived():
            for message in receive(client, url, WaitTimeSeconds=1):
                with lock:
                    received.append(message["Body"])
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    threads = [guarded(work) for work in (take_by_amqp, take_by_sqs, send_by_amqp, send_by_sqs)]
    for thread in threads:
        thread.join(60)
    assert not faults, faults
    assert sorted(received) == sorted([f"a{n}" for n in range(half)] + [f"s{n}" for n in range(half)])
