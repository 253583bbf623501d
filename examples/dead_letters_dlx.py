"""Dead letters in RabbitMQ's way: what a consumer rejects goes through a dead-letter exchange into a queue of its own.

    pip install pika boto3
    python examples/dead_letters_dlx.py

Who looks after the dead letters may be an application of AWS': it sees an ordinary queue.
"""

import os

import boto3
import pika

QUEUE = "example-tasks"
DEAD = "example-tasks-dead"

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
if "AWS_ENDPOINT_URL" not in os.environ:  # a broker on this machine, which must not get keys that are for AWS
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def declare(channel):
    """The queue names the exchange that its dead letters go to; one queue collects them."""
    channel.exchange_declare(DEAD, "fanout", durable=True)
    channel.queue_declare(DEAD, durable=True)
    channel.queue_bind(DEAD, DEAD)
    channel.queue_declare(QUEUE, durable=True, arguments={"x-dead-letter-exchange": DEAD})


def work(channel):
    """Does what can be done; what cannot is rejected for good."""
    for method, _, body in channel.consume(QUEUE, inactivity_timeout=1):
        if method is None:
            break
        if body.startswith(b"bad"):
            print("rejected:", body.decode())
            channel.basic_nack(method.delivery_tag, requeue=False)
        else:
            print("done:", body.decode())
            channel.basic_ack(method.delivery_tag)
    channel.cancel()


def show_to_pika(channel):
    """The header x-death says what became of it, where and how often."""
    method, properties, body = channel.basic_get(DEAD)
    death = properties.headers["x-death"][0]
    print(f"dead, says pika: {body.decode()} ({death['reason']}, from {death['queue']}, {death['count']} time)")
    channel.basic_ack(method.delivery_tag)


def show_to_boto3():
    """The attribute DeadLetterQueueSourceArn says where it died."""
    sqs = boto3.client("sqs")
    dead = sqs.get_queue_url(QueueName=DEAD)["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=10, MessageSystemAttributeNames=["All"])
    for message in answer["Messages"]:
        print(f"dead, says boto3: {message['Body']} (from {message['Attributes']['DeadLetterQueueSourceArn']})")
        sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])


with pika.BlockingConnection(pika.URLParameters(AMQP_URL)) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    declare(channel)
    for body in (b"good task", b"bad task", b"bad luck"):
        channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2), mandatory=True)
    work(channel)
    show_to_pika(channel)
show_to_boto3()
