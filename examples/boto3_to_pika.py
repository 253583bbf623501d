"""An AWS application sends work to a RabbitMQ worker: boto3 sends, pika consumes and retries what fails.

    pip install pika boto3
    python examples/boto3_to_pika.py

The queue's RedrivePolicy is set by the AWS side and counts the worker's negative acknowledgements: after two failed
attempts a message is dead.
"""

import json
import os

import boto3
import pika

QUEUE = "example-work"
DEAD = "example-work-dead"

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
if "AWS_ENDPOINT_URL" not in os.environ:  # a broker on this machine, which must not get keys that are for AWS
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

sqs = boto3.client("sqs")


def send(bodies):
    """Creates the queue with its dead letters and sends to it."""
    dead = sqs.create_queue(QueueName=DEAD)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    queue = sqs.create_queue(QueueName=QUEUE, Attributes={"RedrivePolicy": policy})["QueueUrl"]
    for body in bodies:
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    return dead


def work():
    """Consumes until nothing comes for a second; what cannot be done goes back to the queue."""
    with pika.BlockingConnection(pika.URLParameters(AMQP_URL)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(QUEUE, inactivity_timeout=1):
            if method is None:
                break
            if body == b"impossible":
                print("failed:", body.decode(), "(again)" if method.redelivered else "")
                channel.basic_nack(method.delivery_tag, requeue=True)
            else:
                print("done:", body.decode())
                channel.basic_ack(method.delivery_tag)
        channel.cancel()


dead = send(["possible", "impossible"])
work()
for message in sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=10).get("Messages", []):
    print("dead:", message["Body"])
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])
