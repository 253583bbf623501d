"""Bodies from 1 MiB up, through pika: each a file of its own, and little of it ever in the broker's memory."""

from __future__ import annotations

import hashlib
import os
import pathlib
import socket
import subprocess
import threading

import pika
import pika.exceptions
import pytest

from broker import Broker, wait_until

MIB = 1 << 20
PERSISTENT = pika.BasicProperties(delivery_mode=2)
# What the broker may take more than before, whatever the size and number of the bodies: buffers, and what the
# allocator keeps of them.
GROWTH_MAX = 8 * MIB


@pytest.fixture
def own(tmp_path):
    """A broker of this test alone that takes the largest bodies there can be."""
    broker = Broker(os.environ["VIADUCT_BIN"], tmp_path, {"limits.message_max_bytes": str(512 * MIB)})
    broker.start()
    yield broker
    broker.close()


def connect(broker: Broker) -> pika.BlockingConnection:
    parameters = pika.URLParameters(broker.amqp_url)
    parameters.heartbeat = 0
    return pika.BlockingConnection(parameters)


def files(broker: Broker) -> list[pathlib.Path]:
    return sorted((broker.data_dir / "big").iterdir())


def memory(broker: Broker) -> int:
    """Most memory that the process ever had, in bytes."""
    status = pathlib.Path(f"/proc/{broker.process.pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) * 1024


def noise(mib: int, seed: bytes = b"") -> bytes:
    """Bytes that no two blocks of share."""
    piece = hashlib.shake_256(b"viaduct" + seed).digest(MIB)
    return b"".join(n.to_bytes(8, "big") + piece[8:] for n in range(mib))


def get(channel, queue: str) -> tuple[int, bytes]:
    method, _, body = channel.basic_get(queue)
    assert method is not None, f"nothing in {queue}"
    return method.delivery_tag, body


def fan_out(broker: Broker, mib: int) -> None:
    """One body to three queues, settled one by one, with a crash in between."""
    body = noise(mib)
    before = memory(broker)
    connection = connect(broker)
    channel = connection.channel()
    channel.confirm_delivery()
    for queue in "abc":
        channel.queue_declare(queue, durable=True)
        channel.queue_bind(queue, "amq.fanout")
    channel.basic_publish("amq.fanout", "", body, PERSISTENT, mandatory=True)
    (file,) = files(broker)
    assert len(body) <= file.stat().st_size <= len(body) * 1.001 + 4096
    tag, got = get(channel, "a")
    assert got == body
    channel.basic_ack(tag)
    for method, _, got in channel.consume("b", inactivity_timeout=60):
        assert got == body
        channel.basic_ack(method.delivery_tag)
        break
    channel.cancel()
    connection.close()
    assert memory(broker) - before < GROWTH_MAX, f"the broker took {(memory(broker) - before) // MIB} MiB more"

    broker.restart("SIGKILL")
    before = memory(broker)
    connection = connect(broker)
    channel = connection.channel()
    assert files(broker) == [file]
    # The crash may have lost the acknowledgements, never the message.
    for queue in "cab":
        method, _, got = channel.basic_get(queue)
        if queue == "c" or method is not None:
            assert got == body
            channel.basic_ack(method.delivery_tag)
    wait_until("the file is gone with its last entry", lambda: not files(broker))
    connection.close()
    assert memory(broker) - before < GROWTH_MAX


def test_one_file_for_three_queues_over_a_crash(own):
    fan_out(own, 64)


@pytest.mark.long
def test_one_file_for_three_queues_at_the_largest_size(own):
    fan_out(own, 512)


def test_several_bodies_at_a_time_take_little_memory(own):
    """Four uploads and then four downloads at once."""
    before = memory(own)
    bodies = [noise(16, b"%d" % n) for n in range(4)]
    failures = []

    def transfer(n: int) -> None:
        try:
            connection = connect(own)
            channel = connection.channel()
            channel.confirm_delivery()
            channel.queue_declare(f"q{n}", durable=True)
            channel.basic_publish("", f"q{n}", bodies[n], PERSISTENT, mandatory=True)
            met.wait(60)
            assert get(channel, f"q{n}")[1] == bodies[n]
            connection.close()
        except Exception as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)
            met.abort()

    met = threading.Barrier(len(bodies))
    threads = [threading.Thread(target=transfer, args=[n]) for n in range(len(bodies))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert memory(own) - before < GROWTH_MAX, f"the broker took {(memory(own) - before) // MIB} MiB more"


def half_an_upload(broker: Broker) -> pika.BlockingConnection:
    """Sends the head of a publish of 8 MiB and half of its body."""
    connection = connect(broker)
    channel = connection.channel()
    channel.queue_declare("q", durable=True)
    publish = pika.spec.Basic.Publish(exchange="", routing_key="q")
    number = channel.channel_number
    frames = [
        pika.frame.Method(number, publish).marshal(),
        pika.frame.Header(number, 8 * MIB, PERSISTENT).marshal(),
    ]
    frames += [pika.frame.Body(number, bytes(64 * 1024)).marshal() for _ in range(64)]
    connection._impl._output_marshaled_frames(frames)
    connection.process_data_events(0)
    half = 4 * MIB

    def arrived():
        connection.process_data_events(0)
        return [file for file in files(broker) if file.stat().st_size >= half]

    wait_until("half of the body is in its file", arrived)
    return connection


def test_a_crash_in_the_middle_of_an_upload_leaves_no_file(own):
    connection = half_an_upload(own)
    own.restart("SIGKILL")
    assert files(own) == []
    with pytest.raises(pika.exceptions.AMQPError):
        connection.process_data_events(1)
        connection.channel()
    channel = connect(own).channel()
    assert channel.queue_declare("q", passive=True).method.message_count == 0


def test_a_lost_link_in_the_middle_of_an_upload_leaves_no_file(own):
    connection = half_an_upload(own)
    connection._impl._transport._sock.shutdown(socket.SHUT_RDWR)
    wait_until("the file is gone with its upload", lambda: not files(own))


def consumed(broker: Broker, n: int) -> None:
    """Takes the next message of q, which has to be this one."""
    channel = connect(broker).channel()
    tag, body = get(channel, "q")
    assert body == noise(2, b"%d" % n)
    channel.basic_ack(tag)
    channel.connection.close()


def test_one_flipped_bit_costs_one_message(own):
    connection = connect(own)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("q", durable=True)
    for n in range(3):
        channel.basic_publish("", "q", noise(2, b"%d" % n), PERSISTENT, mandatory=True)
    connection.close()
    assert own.stop() == 0
    damaged = files(own)[1]
    with damaged.open("r+b") as file:
        file.seek(MIB + 4711)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 16]))
    own.start()
    consumed(own, 0)
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as refused:
        consumed(own, 1)
    assert refused.value.reply_code == 406 and damaged.name in refused.value.reply_text
    assert own.stop() == 0
    repair = [own.binary, "repair", "--yes", "--data-dir", str(own.data_dir)]
    subprocess.run(repair, capture_output=True, timeout=60)
    own.start()
    consumed(own, 2)
    assert connect(own).channel().basic_get("q") == (None, None, None)
    wait_until("the damaged file is gone, too", lambda: not files(own))
