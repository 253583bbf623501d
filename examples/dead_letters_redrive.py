"""Dead letters in AWS' way: what was received too often moves to the queue that the RedrivePolicy names.

    pip install pika boto3
    python examples/dead_letters_redrive.py

Who looks after the dead letters may be an application of RabbitMQ's: it sees an ordinary queue.
"""

import json
import os

import boto3
import pika

QUEUE = "example-payments"
DEAD = "example-payments-dead"
ATTEMPTS = 3

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
if "AWS_ENDPOINT_URL" not in os.environ:  # a broker on this machine, which must not get keys that are for AWS
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

sqs = boto3.client("sqs")


def create():
    """The queue of dead letters first: the policy of the other one names its ARN."""
    dead = sqs.create_queue(QueueName=DEAD)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": ATTEMPTS})
    return sqs.create_queue(QueueName=QUEUE, Attributes={"RedrivePolicy": policy})["QueueUrl"]


def work(queue):
    """Works until nothing comes for a second. What fails is made visible again at once, for the next attempt."""
    while True:
        answer = sqs.receive_message(
            QueueUrl=queue, WaitTimeSeconds=1, MessageSystemAttributeNames=["ApproximateReceiveCount"]
        )
        if "Messages" not in answer:
            return
        for message in answer["Messages"]:
            handle = message["ReceiptHandle"]
            if message["Body"].startswith("bad"):
                print(f"failed: {message['Body']} (attempt {message['Attributes']['ApproximateReceiveCount']})")
                sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
            else:
                print(f"done: {message['Body']}")
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=handle)


def show_to_pika():
    with pika.BlockingConnection(pika.URLParameters(AMQP_URL)) as connection:
        channel = connection.channel()
        method, _, body = channel.basic_get(DEAD)
        print(f"dead, says pika: {body.decode()}")
        channel.basic_ack(method.delivery_tag)


queue = create()
for body in ("good payment", "bad payment"):
    sqs.send_message(QueueUrl=queue, MessageBody=body)
work(queue)
show_to_pika()
