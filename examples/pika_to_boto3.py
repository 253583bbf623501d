"""A RabbitMQ application hands its orders to an AWS application: pika publishes, boto3 receives.

    pip install pika boto3
    python examples/pika_to_boto3.py

The broker runs on this machine with its standard ports (`cargo run --release`).
"""

import boto3
import pika

QUEUE = "example-orders"


def publish(orders):
    """The old side, as it always was: a durable queue, persistent messages, confirms."""
    with pika.BlockingConnection(pika.ConnectionParameters("localhost")) as connection:
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
    sqs = boto3.client(
        "sqs",
        endpoint_url="http://localhost:4566",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
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
