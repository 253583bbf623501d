"""One queue declared through both doors: each door compares only what its own vocabulary set (DESIGN §5)."""

from __future__ import annotations

import botocore.exceptions
import pika
import pika.exceptions
import pytest

from clients.test_boto3 import create, error_code, receive_one
from clients.test_pika import PERSISTENT, get


def test_pika_declares_what_boto3_created(channel, sqs, name):
    url = create(sqs, name, VisibilityTimeout="45", MessageRetentionPeriod="3600")
    declared = channel.queue_declare(name, durable=True).method
    assert declared.queue == name
    channel.basic_publish("", name, b"one queue", PERSISTENT, mandatory=True)
    assert receive_one(sqs, url)["Body"] == "one queue"


def test_boto3_creates_what_pika_declared(channel, sqs, name):
    channel.queue_declare(name, durable=True, arguments={"x-max-length": 100, "x-message-ttl": 3_600_000})
    url = create(sqs, name)
    assert url == sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="one queue")
    assert get(channel, name)[2] == b"one queue"
    # Its own declaration is still the one it was.
    channel.queue_declare(name, durable=True, arguments={"x-max-length": 100, "x-message-ttl": 3_600_000})


def test_retention_is_not_message_ttl(channel, sqs, name):
    create(sqs, name, MessageRetentionPeriod="60")
    channel.queue_declare(name, durable=True)
    attributes = sqs.get_queue_attributes(
        QueueUrl=sqs.get_queue_url(QueueName=name)["QueueUrl"], AttributeNames=["MessageRetentionPeriod"]
    )["Attributes"]
    assert attributes == {"MessageRetentionPeriod": "60"}


def test_sqs_refuses_a_queue_that_is_not_durable(channel, sqs, name):
    channel.queue_declare(name, durable=False)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        sqs.send_message(QueueUrl=url, MessageBody="must survive")
    assert error_code(refused) == (400, "AWS.SimpleQueueService.UnsupportedOperation")


def test_create_queue_makes_a_queue_durable(broker, channel, sqs, name):
    channel.queue_declare(name, durable=False)
    url = create(sqs, name)
    # Both the declaration that made it and the one that it now amounts to are equivalent.
    channel.queue_declare(name, durable=False)
    sqs.send_message(QueueUrl=url, MessageBody="survives")
    broker.restart("SIGKILL")
    assert receive_one(sqs, url)["Body"] == "survives"


@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_equivalence_survives_a_restart(broker, sqs, name, how):
    create(sqs, name, VisibilityTimeout="45")
    broker.restart(how)
    with pika.BlockingConnection(pika.URLParameters(broker.amqp_url)) as connection:
        connection.channel().queue_declare(name, durable=True)
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as inequivalent:
            connection.channel().queue_declare(name, durable=True, arguments={"x-max-length": 1})
        assert inequivalent.value.reply_code == 406
    create(sqs, name, VisibilityTimeout="45")
    with pytest.raises(sqs.exceptions.QueueNameExists):
        create(sqs, name, VisibilityTimeout="46")


def test_what_a_later_issue_brings_is_refused_plainly(pika_connection, name):
    for refused in ({"exclusive": True}, {"auto_delete": True}, {"arguments": {"x-expires": 1000}}):
        with pika.BlockingConnection(pika_connection._impl.params) as connection:
            with pytest.raises(pika.exceptions.AMQPError) as closed:
                connection.channel().queue_declare(name, durable=True, **refused)
            assert closed.value.reply_code == 540
