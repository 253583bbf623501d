"""The brokers that are compared: how each is started on loopback with a scratch folder, found ready, and ended.

None of them touches what the machine runs anyway: every port is a free one, every file is in the scratch folder, and
only processes that were started here are ended, by their pid.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import subprocess

from .processes import Started
from .processes import accepts
from .processes import end_pid
from .processes import free_port
from .processes import pid_listening_on
from .processes import wait_until

# Past Debian's wrapper, which insists on the user of its package.
RABBITMQ_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"


class Broker:
    """A running broker: its name, its version, where the generator finds it, and the process that it is measured by."""

    product: str
    # The generator's name for each protocol that it speaks, and the URL for it.
    urls: dict[str, str]
    pid: int

    def stop(self) -> None:
        raise NotImplementedError

    def version(self) -> str:
        raise NotImplementedError


class Viaduct(Broker):
    """`viaduct serve` with its defaults: what a user gets who configures nothing."""

    product = "Viaduct"

    def __init__(self, binary: str, folder: pathlib.Path):
        self.binary = binary
        self.data_dir = folder / "data"
        listening = ("amqp", "aws", "metrics")
        addresses = [item for name in listening for item in ("--set", f"listeners.{name}=127.0.0.1:0")]
        command = [binary, "serve", "--data-dir", str(self.data_dir), *addresses]
        self._started = Started(command, folder / "viaduct.log")
        self._started.wait_for("Viaduct is healthy", self._is_healthy)
        bound = json.loads((self.data_dir / "listeners.json").read_text())
        self.amqp_port = int(bound["amqp"][0].rpartition(":")[2])
        self.urls = {"amqp": amqp_url(self.amqp_port), "sqs": f"http://{bound['aws'][0]}"}
        self.pid = self._started.process.pid

    def _is_healthy(self) -> bool:
        if not (self.data_dir / "listeners.json").exists():
            return False
        health = [self.binary, "health", "--data-dir", str(self.data_dir)]
        return subprocess.run(health, capture_output=True).returncode == 0

    def stop(self) -> None:
        self._started.stop()

    def version(self) -> str:
        return viaduct_version(self.binary)


class RabbitMq(Broker):
    """Debian's rabbitmq-server with its defaults, but for limits of memory and disk that a run must not meet."""

    product = "RabbitMQ"

    def __init__(self, folder: pathlib.Path):
        port, self._epmd_port, distribution = free_port(), free_port(), free_port()
        config = folder / "rabbitmq.conf"
        config.write_text(
            f"listeners.tcp.1 = 127.0.0.1:{port}\n"
            "vm_memory_high_watermark.absolute = 2GB\n"
            "disk_free_limit.absolute = 1GB\n"
        )
        plugins = folder / "enabled_plugins"
        plugins.write_text("[].\n")
        environment = os.environ | {
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_NODENAME": f"compare{port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        self._started = Started([RABBITMQ_SERVER], folder / "rabbitmq.log", environment)
        try:
            self._started.wait_for("RabbitMQ accepts connections", lambda: accepts(port), pause=0.2)
        except (RuntimeError, TimeoutError):
            self._end_epmd()
            raise
        # The script stays as the parent of the Erlang node.
        self.pid = wait_until("the pid of RabbitMQ", lambda: pid_listening_on(port))
        self.urls = {"amqp": amqp_url(port)}

    def stop(self) -> None:
        end_pid(self.pid)
        self._started.stop()
        self._end_epmd()

    def _end_epmd(self) -> None:
        """The node's port mapper is a daemon: it outlives the node and the script."""
        pid = pid_listening_on(self._epmd_port)
        if pid is not None:
            end_pid(pid)

    def version(self) -> str:
        return debian_version("rabbitmq-server")


class NatsServer(Broker):
    """Debian's nats-server, core only: nothing is kept and nothing is confirmed."""

    product = "nats-server"

    def __init__(self, folder: pathlib.Path):
        port = free_port()
        config = folder / "nats.conf"
        config.write_text(f"listen: 127.0.0.1:{port}\n")
        self._started = Started(["nats-server", "-c", str(config)], folder / "nats.log")
        self._started.wait_for("nats-server accepts connections", lambda: accepts(port))
        self.urls = {"nats": f"nats://127.0.0.1:{port}"}
        self.pid = self._started.process.pid

    def stop(self) -> None:
        self._started.stop()

    def version(self) -> str:
        return debian_version("nats-server")


class MotoServer(Broker):
    """moto_server: SQS in the memory of one Python process, which is what tests of SQS users often run against."""

    product = "moto_server"

    def __init__(self, folder: pathlib.Path):
        port = free_port()
        self._program = moto_program()
        self._started = Started([self._program, "-H", "127.0.0.1", "-p", str(port)], folder / "moto.log")
        self._started.wait_for("moto_server accepts connections", lambda: accepts(port), pause=0.1)
        self.urls = {"sqs": f"http://127.0.0.1:{port}"}
        self.pid = pid_listening_on(port) or self._started.process.pid

    def stop(self) -> None:
        self._started.stop()

    def version(self) -> str:
        # The interpreter beside the program, because moto may live in a virtual environment.
        python = pathlib.Path(self._program).parent / "python"
        script = "import importlib.metadata as m; print(m.version('moto'))"
        return subprocess.check_output([python, "-c", script], text=True).strip()


PEERS = {"rabbitmq": RabbitMq, "nats": NatsServer, "moto": MotoServer}


def amqp_url(port: int) -> str:
    return f"amqp://guest:guest@127.0.0.1:{port}/%2F"


def moto_program() -> str:
    """moto_server by the environment variable MOTO_SERVER, or in the path."""
    return os.environ.get("MOTO_SERVER") or shutil.which("moto_server") or "moto_server"


def missing(peer: str) -> str | None:
    """What to install for a peer, or nothing."""
    programs = {
        "rabbitmq": (RABBITMQ_SERVER, "apt-get install rabbitmq-server"),
        "nats": ("nats-server", "apt-get install nats-server"),
        "moto": (moto_program(), "pip install 'moto[server,sqs]' in a virtual environment, and MOTO_SERVER=its bin/moto_server"),
    }
    program, remedy = programs[peer]
    return None if shutil.which(program) else remedy


def viaduct_version(binary: str) -> str:
    return subprocess.check_output([binary, "version"], text=True).split()[-1]


def debian_version(package: str) -> str:
    """A Debian package's version, which has upstream's in front."""
    query = ["dpkg-query", "--showformat", "${Version}", "--show", package]
    return subprocess.check_output(query, text=True).strip()


@contextlib.contextmanager
def running(name: str, binary: str, scratch: pathlib.Path):
    """Starts "viaduct" or a peer in a folder of its own under `scratch`, and ends it and removes the folder after."""
    folder = scratch / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    broker = Viaduct(binary, folder) if name == "viaduct" else PEERS[name](folder)
    try:
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(folder, ignore_errors=True)
