"""A RabbitMQ application hands its orders to an AWS application: pika publishes, boto3 receives.

    pip install pika boto3
    python examples/pika_to_boto3.py
"""

import os

import boto3
import pika

QUEUE = "example-orders"

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
if "AWS_ENDPOINT_URL" not in os.environ:  # a broker on this machine, which must not get keys that are for AWS
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


def publish(orders):
    """The old side, as it always was: a durable queue, persistent messages, confirms."""
    with pika.BlockingConnection(pika.URLParameters(AMQP_URL)) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.confirm_delivery()
        for number, order in enumerate(orders):
            properties = pika.BasicProperties(
                delivery_mode=2,
                content_type="text/plain",
                correlation_id=f"order-{number}",
                headers={"customer": "ada", "urgent": number == 0},
            )
            channel.basic_publish("", QUEUE, order.encode(), properties, mandatory=True)


def receive(count):
    """The new side: an SQS client that has never heard of AMQP. Headers are message attributes to it."""
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    received = 0
    while received < count:
        answer = sqs.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=10, MessageAttributeNames=["All"]
        )
        for message in answer.get("Messages", []):
            attributes = {name: value.get("StringValue") for name, value in message["MessageAttributes"].items()}
            print(message["Body"], attributes)
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            received += 1


orders = ["a book", "a lamp", "tea"]
publish(orders)
receive(len(orders))
