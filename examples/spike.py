"""A spike of 1,000 jobs, absorbed: they come all at once, and four consumers of two kinds share them as each has time.

    pip install pika boto3
    python examples/spike.py
"""

import collections
import os
import threading
import time

import boto3
import pika

JOBS = 1000
QUEUE = "example-jobs"
WORKERS = {"pika 1": 0.004, "pika 2": 0.001, "boto3 1": 0.004, "boto3 2": 0.001}  # seconds for a job

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@localhost:5672/%2F")
if "AWS_ENDPOINT_URL" not in os.environ:  # a broker on this machine, which must not get keys that are for AWS
    os.environ.pop("AWS_SESSION_TOKEN", None)
    os.environ |= {"AWS_ENDPOINT_URL": "http://localhost:4566", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

done = collections.Counter()  # (worker, job): an entry above 1 would be a job that was done twice
is_over = threading.Event()


def submit():
    """Sends all jobs as fast as it can, ten in a request, and returns the queue and the seconds that it took."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
    start = time.monotonic()
    for first in range(0, JOBS, 10):
        entries = [{"Id": str(job), "MessageBody": f"job {job}"} for job in range(first, first + 10)]
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")
    return queue, time.monotonic() - start


def work(worker, job):
    time.sleep(WORKERS[worker])
    done[worker, job] += 1
    if len(done) == JOBS:
        is_over.set()


def consume_with_pika(worker):
    """Takes one job at a time, so that whoever is faster gets more."""
    with pika.BlockingConnection(pika.URLParameters(AMQP_URL)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=1)
        for method, _, body in channel.consume(QUEUE, inactivity_timeout=0.2):
            if method is not None:
                work(worker, body.decode())
                channel.basic_ack(method.delivery_tag)
            elif is_over.is_set():
                break
        channel.cancel()


def consume_with_boto3(worker):
    """Takes up to ten jobs in a request, as SQS allows."""
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    while not is_over.is_set():
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            work(worker, message["Body"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


queue, seconds = submit()
attributes = boto3.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
print(f"{JOBS} jobs in {seconds:.1f} s, {attributes['Attributes']['ApproximateNumberOfMessages']} of them waiting")

start = time.monotonic()
threads = [
    threading.Thread(target=consume_with_pika if "pika" in worker else consume_with_boto3, args=[worker])
    for worker in WORKERS
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

for worker in WORKERS:
    print(f"{worker}: {sum(1 for who, _ in done if who == worker)} jobs")
jobs = {job for _, job in done}
print(f"{len(jobs)} jobs done in {time.monotonic() - start:.1f} s, {done.total() - len(jobs)} of them twice")
