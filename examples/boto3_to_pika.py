"""An AWS application sends work to a RabbitMQ worker: boto3 sends, pika consumes and retries what fails.

    pip install pika boto3
    python examples/boto3_to_pika.py

The broker runs on this machine with its standard ports (`cargo run --release`). The queue's RedrivePolicy is set by the
AWS side and counts the worker's negative acknowledgements: after two failed attempts a message is dead.
"""

import json

import boto3
import pika

QUEUE = "example-work"
DEAD = "example-work-dead"

sqs = boto3.client(
    "sqs",
    endpoint_url="http://localhost:4566",
    region_name="us-east-1",
    aws_access_key_id="test",
    aws_secret_access_key="test",
)


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
    with pika.BlockingConnection(pika.ConnectionParameters("localhost")) as connection:
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
