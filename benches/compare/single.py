"""Figures of Viaduct alone: memory at rest, memory of an idle connection, time to the first login, the log on its own."""

from __future__ import annotations

import pathlib
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable

from . import amqp
from .generator import Settings
from .generator import limits
from .peers import Viaduct
from .peers import running
from .processes import Started
from .processes import free_port
from .processes import resident_bytes
from .processes import wait_until
from .report import Row
from .report import Run
from .rounds import Spread
from .rounds import quiet_machine
from .rounds import too_few

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Memory at rest is promised in megabytes, that of a connection in kibibytes.
MB = 1_000_000
IDLE_MB = 20
CONNECTIONS = 10_000
CONNECTION_KIB = 16
READY_MS = 200
# Start-ups are short: more of them cost nothing, and a median of three would be noise.
STARTS_A_ROUND = 5
LOG_SHARE = 0.5
# One batch at a time the log makes the same sync as the raw append, and at a batch of 1 little else: medians of two equal
# things differ by this much from noise alone.
LOG_NOISE = 1.1
LOG_COMMAND = ["cargo", "bench", "--locked", "--bench", "log"]
# `batch  100: raw  750000 [720000 to 760000]  log  600000 [590000 to 610000] (0.80 of raw) …`, as benches/log.rs prints it.
LOG_LINE = re.compile(
    r"batch +(?P<batch>\d+): raw +(?P<raw>\d+ \[\d+ to \d+\]) +log +(?P<log>\d+ \[\d+ to \d+\]) \([\d.]+ of raw\)"
)

Say = Callable[[str], None]


def idle_memory(settings: Settings, say: Say) -> tuple[list[Row], Run]:
    """Resident memory of a broker that has just started and serves nobody."""
    values = []
    for number in range(1, settings.rounds + 1):
        with running("viaduct", settings.binary, settings.scratch) as broker:
            values.append(settled_bytes(broker) / MB)
            say(f"idle-memory, round {number}: {values[-1]:.1f} MB")
    row = Row(
        name="idle-memory",
        title="idle, resident",
        run="idle-memory",
        goal=f"≤ {IDLE_MB} MB",
        unit="MB",
        ours=Spread(tuple(values)),
        met=Spread(tuple(values)).median <= IDLE_MB,
        invalid=too_few(settings.rounds),
    )
    return [row], Run("idle-memory", "viaduct serve; VmRSS", [], settings.rounds, {})


def idle_connections(settings: Settings, say: Say) -> tuple[list[Row], Run]:
    """What each of 10,000 idle AMQP connections adds to the resident memory."""
    allow_files(CONNECTIONS + 200)
    values = []
    for number in range(1, settings.rounds + 1):
        with running("viaduct", settings.binary, settings.scratch) as broker:
            # The first login fills caches that all share.
            streams = [amqp.connect(broker.amqp_port)]
            try:
                before = settled_bytes(broker)
                streams += [amqp.connect(broker.amqp_port) for _ in range(CONNECTIONS)]
                values.append((settled_bytes(broker) - before) / CONNECTIONS / 1024)
            finally:
                for stream in streams:
                    stream.close()
            say(f"idle-connections, round {number}: {values[-1]:.2f} KiB each")
    row = Row(
        name="idle-connections",
        title=f"each of {CONNECTIONS:,} idle AMQP connections",
        run="idle-connections",
        goal=f"≤ {CONNECTION_KIB} KiB",
        unit="KiB",
        ours=Spread(tuple(values)),
        met=Spread(tuple(values)).median <= CONNECTION_KIB,
        invalid=too_few(settings.rounds),
    )
    command = f"viaduct serve; VmRSS before and after {CONNECTIONS:,} logins"
    return [row], Run("idle-connections", command, [], settings.rounds, {})


def settled_bytes(broker: Viaduct) -> int:
    """Resident memory once it has stopped changing: two equal readings 200 ms apart."""
    last = [resident_bytes(broker.pid)]

    def is_still() -> bool:
        last.append(resident_bytes(broker.pid))
        return last[-1] == last[-2]

    time.sleep(0.2)
    wait_until("the broker's memory is still", is_still, 20, pause=0.2)
    return last[-1]


def allow_files(wanted: int) -> None:
    """Raises our limit of open files, which the broker inherits; raises OSError when the machine does not allow it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise OSError(f"{wanted} connections need as many open files, and `ulimit -Hn` is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def ready(settings: Settings, say: Say) -> tuple[list[Row], Run]:
    """From the start of the process on an empty data dir to the end of an AMQP login."""
    machine, values = [], []
    for number in range(1, settings.rounds + 1):
        machine.append(limits(settings, number))
        times = [start_ms(settings) for _ in range(STARTS_A_ROUND)]
        values.append(Spread(tuple(times)).median)
        say(f"ready, round {number}: {values[-1]:.0f} ms")
    row = Row(
        name="ready",
        title="process start to AMQP login",
        run="ready",
        goal=f"< {READY_MS} ms",
        unit="ms",
        ours=Spread(tuple(values)),
        met=Spread(tuple(values)).median < READY_MS,
        invalid=quiet_machine(machine, settings.rounds, READY_MS * 1_000),
    )
    command = f"viaduct serve; connection.open-ok, median of {STARTS_A_ROUND} starts a round"
    return [row], Run("ready", command, machine, settings.rounds, {})


def start_ms(settings: Settings) -> float:
    """One start, in milliseconds."""
    folder = settings.scratch / "ready"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ports = {name: free_port() for name in ("amqp", "aws", "metrics")}
    addresses = [item for name, port in ports.items() for item in ("--set", f"listeners.{name}=127.0.0.1:{port}")]
    command = [settings.binary, "serve", "--data-dir", str(folder / "data"), *addresses]

    def login():
        try:
            return amqp.connect(ports["amqp"])
        except ConnectionRefusedError:
            return None

    begin = time.monotonic()
    started = Started(command, folder / "viaduct.log")
    try:
        stream = started.wait_for("Viaduct takes a login", login, pause=0.001)
        took = (time.monotonic() - begin) * 1_000
        stream.close()
    finally:
        started.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return took


def log_alone(settings: Settings, say: Say) -> tuple[list[Row], Run]:
    """The log without a broker beside a raw append at the same batch: `cargo bench --bench log`, which has its rounds."""
    command = LOG_COMMAND
    machine = [limits(settings)]
    say("log: cargo bench takes a minute and a half")
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if output.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{output.stderr}")
    rows = log_rows(output.stdout, too_few(settings.rounds))
    for row in rows:
        say(f"{row.name}: {row.ratio:.2f} of raw")
    return rows, Run("log", " ".join(command), machine, 5, {})


def build_log() -> None:
    """Builds the benchmark of the log ahead: a compiler beside a measurement would be a neighbour of our own."""
    subprocess.run([*LOG_COMMAND, "--no-run"], cwd=ROOT, check=True)


def log_rows(output: str, invalid: str | None) -> list[Row]:
    """A row for each batch that the benchmark of the log prints; `invalid` says why none of them counts."""
    rows = []
    for batch, *printed in LOG_LINE.findall(output):
        raw, log = (log_spread(text) for text in printed)
        share = log.median / raw.median
        rows.append(
            Row(
                name=f"log-{batch}",
                title=f"the log alone, 1 KiB, batches of {batch}",
                run="log",
                goal=f"≥ {LOG_SHARE}×",
                unit="records/s",
                ours=log,
                met=share >= LOG_SHARE,
                # One batch at a time nobody is faster than the disk: then it was not the same disk all the time.
                invalid=invalid or ("the raw append was slower than the log" if share > LOG_NOISE else None),
                peer="raw append + fdatasync",
                theirs=raw,
                ratio=share,
            )
        )
    if not rows:
        raise RuntimeError(f"no figures in the output of the log's benchmark:\n{output}")
    return rows


def log_spread(text: str) -> Spread:
    """`MEDIAN [LEAST to MOST]`: three values that have just this median and range."""
    median, least, most = (float(digits) for digits in re.findall(r"\d+", text))
    return Spread((least, median, most))


SINGLES = {
    "log": log_alone,
    "idle-memory": idle_memory,
    "idle-connections": idle_connections,
    "ready": ready,
}
