"""Damage in the log: the queues that it may concern are set apart in words, everybody else is served."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess

import botocore.exceptions
import pika
import pika.exceptions
import pytest

from broker import Broker
from clients.test_boto3 import create, receive
from clients.test_pika import PERSISTENT, publish
from conftest import sqs_client
from promises.load import confirming
from promises.segments import frames
from promises.test_failing_disk import drained
from promises.test_operations import report, viaduct
from promises.tracing import metric

BODIES = [f"{n}-{'x' * 2000}" for n in range(20)]


@pytest.fixture
def broker(own):
    """A broker of the test's own: its files are damaged."""
    return own


def fill(broker: Broker, *queues: str) -> None:
    channel = confirming(broker)
    for queue in queues:
        channel.queue_declare(queue, durable=True)
        publish(channel, queue, *(body.encode() for body in BODIES))
    channel.connection.close()


def damage(broker: Broker, text: bytes) -> pathlib.Path:
    """Flips a bit of the first frame of the log that has this text, and says in which file."""
    for path in sorted((broker.data_dir / "log").glob("*.seg")):
        segment = bytearray(path.read_bytes())
        at = segment.find(text)
        if at >= 0:
            assert any(frame.offset <= at < frame.end for frame in frames(bytes(segment))[:-1]), "not its last frame"
            segment[at] ^= 1
            path.write_bytes(segment)
            return path
    raise AssertionError("no segment has it")


@contextlib.contextmanager
def refused(broker: Broker, queue: str, file: pathlib.Path | None = None):
    """A channel of which what is done ends with 406, in words that help."""
    connection = pika.BlockingConnection(pika.URLParameters(broker.amqp_url))
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        yield connection.channel()
    connection.close()
    code, text = closed.value.reply_code, closed.value.reply_text
    assert code == 406, text
    expected = f"PRECONDITION_FAILED - queue '{queue}' in vhost '/' is quarantined until 'viaduct repair' has run: "
    assert text.startswith(expected), text
    assert file is None or str(file) in text, text


def assert_refused_by_amqp(broker: Broker, queue: str, file: pathlib.Path) -> None:
    with refused(broker, queue, file) as channel:
        channel.basic_get(queue)
    with refused(broker, queue, file) as channel:
        channel.basic_consume(queue, lambda *_: None)
    with refused(broker, queue, file) as channel:
        channel.queue_purge(queue)
    with refused(broker, queue, file) as channel:
        channel.queue_delete(queue, if_empty=True)
    with refused(broker, queue, file) as channel:
        # Without confirms nothing else can tell.
        channel.basic_publish("", queue, b"lost", PERSISTENT)
        channel.queue_declare(queue, passive=True)
    channel = confirming(broker)
    with pytest.raises(pika.exceptions.NackError):
        channel.basic_publish("", queue, b"refused", PERSISTENT, mandatory=True)
    # It exists, and its publishers go on.
    assert channel.queue_declare(queue, durable=True).method.message_count > 0
    channel.connection.close()


def assert_refused_by_sqs(sqs, url: str, queue: str, file: pathlib.Path) -> None:
    calls = [
        lambda: sqs.send_message(QueueUrl=url, MessageBody="refused"),
        lambda: sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "refused"}]),
        lambda: sqs.receive_message(QueueUrl=url),
        lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5),
        lambda: sqs.purge_queue(QueueUrl=url),
    ]
    for call in calls:
        with pytest.raises(botocore.exceptions.ClientError) as error:
            call()
        answer = error.value.response
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert answer["Error"]["Code"] == "InternalFailure", answer
        text = answer["Error"]["Message"]
        assert f"queue '{queue}' in vhost '/' is quarantined until 'viaduct repair' has run: {file}: " in text
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "1"
    assert sqs.list_queues(QueueNamePrefix=queue)["QueueUrls"] == [url]


def test_damage_sets_apart_what_it_may_concern_and_nothing_else_until_a_repair(broker):
    sqs = sqs_client(broker)
    channel = confirming(broker)
    channel.queue_declare("suspect", durable=True)
    url = create(sqs, "suspect-too")
    sqs.send_message(QueueUrl=url, MessageBody="kept")
    fill(broker, "hurt", "suspect")
    # What was declared when the damaged record was on disk already cannot be in it.
    fill(broker, "later")
    broker.kill()
    file = damage(broker, BODIES[10].encode())
    broker.start()
    for _ in range(2):
        assert_refused_by_amqp(broker, "hurt", file)
        assert_refused_by_amqp(broker, "suspect", file)
        assert_refused_by_sqs(sqs, url, "suspect-too", file)
        health = subprocess.run([broker.binary, "health", "--data-dir", broker.data_dir], capture_output=True, text=True)
        assert health.returncode == 0
        assert f"queue 'suspect' in vhost '/' is quarantined until 'viaduct repair' has run: {file}: " in health.stdout
        assert "'later'" not in health.stdout
        log = [line for line in broker.log().splitlines() if "the queues that they may concern are quarantined" in line]
        assert len(log) == 1 and "ERROR" in log[0] and str(file) in log[0] and "suspect-too in /" in log[0], log
        assert metric(broker, "viaduct_log_holes_total") == 1
        assert metric(broker, "viaduct_queues_quarantined") == 3
        # It stays so, and the others work on: over a clean stop as well.
        fill(broker, "later", "new")
        broker.log_path.unlink()
        broker.restart()
    assert drained(broker, "later") == 3 * BODIES
    # Who deletes a queue accepts the loss.
    channel = confirming(broker)
    channel.queue_delete("suspect")
    assert metric(broker, "viaduct_queues_quarantined") == 2
    fill(broker, "suspect")
    assert drained(broker, "suspect") == BODIES
    broker.stop()
    code, found = report(broker.data_dir)
    assert code == 3 and any(hole["file"] == str(file) for hole in found["damages"]), found
    repaired = viaduct(broker.data_dir, "repair", "--yes")
    assert repaired.returncode == 0, repaired.stderr
    assert report(broker.data_dir)[0] == 0
    broker.start()
    assert metric(broker, "viaduct_queues_quarantined") == 0
    assert drained(broker, "hurt") == [body for body in BODIES if body != BODIES[10]]
    assert [message["Body"] for message in receive(sqs, url)] == ["kept"]
    assert drained(broker, "new") == 2 * BODIES


def test_a_segment_that_a_checkpoint_knows_concerns_the_queues_in_it_and_no_other(broker):
    channel = confirming(broker)
    for queue in ("hurt", "filler", "elsewhere"):
        channel.queue_declare(queue, durable=True)
    publish(channel, "hurt", *(body.encode() for body in BODIES))
    # Until the next segment begins, which holds the rest.
    log, bodies = broker.data_dir / "log", 0
    while len(list(log.glob("*.seg"))) < 2:
        publish(channel, "filler", b"x" * 900_000)
        bodies += 1
        assert bodies < 100
    fill(broker, "elsewhere")
    assert broker.stop() == 0
    file = damage(broker, BODIES[10].encode())
    broker.start()
    for queue in ("hurt", "filler"):
        with refused(broker, queue, file) as channel:
            channel.basic_get(queue)
    assert metric(broker, "viaduct_queues_quarantined") == 2
    assert drained(broker, "elsewhere") == BODIES
    broker.stop()
    repaired = viaduct(broker.data_dir, "repair", "--yes")
    assert repaired.returncode == 0, repaired.stderr
    broker.start()
    assert drained(broker, "hurt") == [body for body in BODIES if body != BODIES[10]]
    assert len(drained(broker, "filler")) == bodies


def test_a_message_that_cannot_be_read_when_its_turn_comes_stays_and_its_queue_says_so(broker):
    fill(broker, "hurt", "sound")
    sqs = sqs_client(broker)
    url = create(sqs, "hurt-too")
    sqs.send_message(QueueUrl=url, MessageBody="to be damaged")
    fill(broker, "after")
    # From here on their messages are only in the log.
    broker.restart()
    file = damage(broker, BODIES[10].encode())
    assert damage(broker, b"to be damaged") == file
    connection = pika.BlockingConnection(pika.URLParameters(broker.amqp_url))
    channel = connection.channel()
    got, cancelled = [], []
    channel.add_on_cancel_callback(cancelled.append)
    channel.basic_consume("hurt", lambda _channel, _method, _properties, body: got.append(body.decode()), auto_ack=True)
    channel.start_consuming()
    # Those that were read with it may have been delivered before, in order, or not.
    assert len(cancelled) == 1 and got == BODIES[: len(got)] and len(got) < 11
    left = channel.queue_declare("hurt", passive=True).method.message_count
    assert left == len(BODIES) - len(got)
    connection.close()
    with refused(broker, "hurt", file) as channel:
        channel.basic_get("hurt")
    with pytest.raises(botocore.exceptions.ClientError) as error:
        sqs.receive_message(QueueUrl=url)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert f"queue 'hurt-too' in vhost '/' is quarantined until 'viaduct repair' has run: {file}: record " in str(error.value)
    assert drained(broker, "sound") == BODIES
    assert metric(broker, "viaduct_messages_damaged_total") >= 2
    # A start finds the same, and a repair what is left.
    broker.restart("SIGKILL")
    with refused(broker, "hurt", file) as channel:
        channel.basic_get("hurt")
    broker.stop()
    assert viaduct(broker.data_dir, "repair", "--yes").returncode == 0
    broker.start()
    kept = [body for body in BODIES if body != BODIES[10]]
    assert drained(broker, "hurt") == kept[len(got) :]
    assert drained(broker, "hurt-too") == []


def test_a_check_of_a_running_broker_sets_apart_who_has_something_in_what_it_finds(broker):
    channel = confirming(broker)
    for queue in ("hurt", "settled", "filler"):
        channel.queue_declare(queue, durable=True)
    publish(channel, "settled", *(b"settled %d %s" % (n, b"." * 2000) for n in range(20)))
    publish(channel, "hurt", *(body.encode() for body in BODIES))
    log = broker.data_dir / "log"
    while len(list(log.glob("*.seg"))) < 2:
        publish(channel, "filler", b"x" * 900_000)
    assert len(drained(broker, "settled")) == 20
    publish(channel, "settled", b"sound")
    code, found = report(broker.data_dir)
    assert (code, found["damages"]) == (0, [])
    file = damage(broker, BODIES[10].encode())
    assert damage(broker, b"settled 7 ") == file
    code, found = report(broker.data_dir)
    assert code == 3 and found["is_running"] and len(found["damages"]) == 2
    with refused(broker, "hurt", file) as channel:
        channel.basic_get("hurt")
    assert metric(broker, "viaduct_queues_quarantined") == 1
    assert drained(broker, "settled") == ["sound"]


def test_a_damaged_block_of_a_large_body_is_never_sent_and_its_message_stays(broker):
    large = os.urandom(2 * 1024 * 1024)
    channel = confirming(broker)
    channel.queue_declare("large", durable=True)
    publish(channel, "large", large, b"small")
    broker.restart()
    (file,) = (broker.data_dir / "big").iterdir()
    body = bytearray(file.read_bytes())
    body[-100] ^= 1
    file.write_bytes(body)
    connection = pika.BlockingConnection(pika.URLParameters(broker.amqp_url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1)
    got, cancelled = [], []
    channel.add_on_cancel_callback(cancelled.append)
    channel.basic_consume("large", lambda _channel, _method, _properties, body: got.append(body))
    channel.start_consuming()
    assert (got, len(cancelled)) == ([], 1)
    assert channel.queue_declare("large", passive=True).method.message_count == 2
    connection.close()
    with refused(broker, "large", file) as channel:
        channel.basic_get("large")
