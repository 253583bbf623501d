"""Dead letters across the doors: x-dead-letter-exchange seen by SQS, RedrivePolicy seen by AMQP."""

from __future__ import annotations

import json

from clients.test_boto3 import create, receive, receive_one
from clients.test_pika import PERSISTENT, get


def arn(sqs, url: str) -> str:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def dead_lettering_to(target: str, **more) -> dict:
    return {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target} | more


def test_a_rejected_message_reaches_an_sqs_queue(channel, sqs, name):
    dead = create(sqs, f"{name}-dead")
    channel.queue_declare(name, durable=True, arguments=dead_lettering_to(f"{name}-dead"))
    channel.basic_publish("", name, b"poison", PERSISTENT, mandatory=True)
    channel.basic_reject(get(channel, name)[0].delivery_tag, requeue=False)
    assert receive_one(sqs, dead)["Body"] == "poison"


def test_an_expired_message_reaches_an_sqs_queue(channel, sqs, name):
    dead = create(sqs, f"{name}-dead")
    channel.queue_declare(name, durable=True, arguments=dead_lettering_to(f"{name}-dead", **{"x-message-ttl": 50}))
    channel.basic_publish("", name, b"too old", PERSISTENT, mandatory=True)
    assert receive_one(sqs, dead)["Body"] == "too old"


def test_what_overflows_reaches_a_pika_queue_with_its_death(channel, sqs, name):
    channel.queue_declare(f"{name}-dead", durable=True)
    channel.queue_declare(name, durable=True, arguments=dead_lettering_to(f"{name}-dead", **{"x-max-length": 1}))
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="first")
    sqs.send_message(QueueUrl=url, MessageBody="second")
    _, properties, body = get(channel, f"{name}-dead")
    assert body == b"first"
    death = properties.headers["x-death"][0]
    assert (death["queue"], death["reason"], death["count"]) == (name, "maxlen", 1)
    assert properties.headers["x-first-death-reason"] == "maxlen"


def test_redrive_policy_counts_the_returns_of_a_pika_consumer(channel, sqs, name):
    dead = create(sqs, f"{name}-dead")
    policy = json.dumps({"deadLetterTargetArn": arn(sqs, dead), "maxReceiveCount": 2})
    url = create(sqs, name, RedrivePolicy=policy)
    sent = sqs.send_message(QueueUrl=url, MessageBody="fails twice")
    for _ in range(2):
        channel.basic_nack(get(channel, name)[0].delivery_tag, requeue=True)
    # A nack has no answer; the broker has handled it once it answers what came after it.
    channel.queue_declare(name, passive=True)
    # The take that would be the third one moves it instead.
    assert receive(sqs, url, WaitTimeSeconds=0) == []
    message = receive_one(sqs, dead)
    assert (message["Body"], message["MessageId"]) == ("fails twice", sent["MessageId"])
    assert message["Attributes"]["DeadLetterQueueSourceArn"] == arn(sqs, url)


def test_redrive_policy_moves_to_a_queue_that_pika_reads(channel, sqs, name):
    channel.queue_declare(f"{name}-dead", durable=True)
    target = arn(sqs, sqs.get_queue_url(QueueName=f"{name}-dead")["QueueUrl"])
    policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 1})
    url = create(sqs, name, RedrivePolicy=policy, VisibilityTimeout="0")
    sqs.send_message(QueueUrl=url, MessageBody="fails once")
    assert receive_one(sqs, url)["Body"] == "fails once"
    assert receive(sqs, url, WaitTimeSeconds=0) == []
    assert get(channel, f"{name}-dead")[2] == b"fails once"


def test_both_policies_on_one_queue_keep_their_own_causes(channel, sqs, name):
    by_amqp, by_sqs = f"{name}-rejected", f"{name}-received"
    channel.queue_declare(by_amqp, durable=True)
    target = arn(sqs, create(sqs, by_sqs))
    channel.queue_declare(name, durable=True, arguments=dead_lettering_to(by_amqp))
    url = create(sqs, name, RedrivePolicy=json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 1}))
    for body in (b"rejected", b"received"):
        channel.basic_publish("", name, body, PERSISTENT, mandatory=True)
    channel.basic_reject(get(channel, name)[0].delivery_tag, requeue=False)
    held = receive_one(sqs, url)
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=held["ReceiptHandle"], VisibilityTimeout=0)
    assert receive(sqs, url, WaitTimeSeconds=0) == []
    assert get(channel, by_amqp)[2] == b"rejected"
    assert receive_one(sqs, sqs.get_queue_url(QueueName=by_sqs)["QueueUrl"])["Body"] == "received"
