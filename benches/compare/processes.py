"""Processes that the comparison starts: free ports, readiness by polling, an end by pid."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import time
from typing import Callable

# The slowest peer (an Erlang node on two busy cores) is ready in about 10 s.
READY_SECONDS = 90
# A peer that was asked to end flushes its store first.
STOP_SECONDS = 30
# State of a listening socket in /proc/net/tcp.
LISTEN = "0A"


def wait_until(what: str, probe: Callable[[], object], seconds: float = READY_SECONDS, pause: float = 0.02):
    """Polls `probe` until it answers something true, and returns that; raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(pause)


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port: int) -> bool:
    """Whether somebody accepts connections on `port` of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def pid_listening_on(port: int) -> int | None:
    """The process that listens on `port`: start scripts and daemons hide the pid that matters."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    for folder in pathlib.Path("/proc").glob("[0-9]*/fd"):
        try:
            for link in folder.iterdir():
                if os.readlink(link) in inodes:
                    return int(folder.parent.name)
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
    return None


def _listening_inodes(port: int) -> list[str]:
    inodes = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = pathlib.Path(table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue  # a machine without IPv6
        for line in lines:
            fields = line.split()
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.append(fields[9])
    return inodes


def resident_bytes(pid: int) -> int:
    """Memory of a process that is resident now."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(f"process {pid} has no memory: it ended")


def end_pid(pid: int) -> None:
    """Asks a process that is not our child to end, and waits until it is gone."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, how)
            wait_until(f"the end of process {pid}", lambda: not _is_alive(pid), STOP_SECONDS)
            return
        except ProcessLookupError:
            return
        except TimeoutError:
            continue
    raise TimeoutError(f"process {pid} does not end")


def _is_alive(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Started:
    """A process of ours, with its output in a file that is shown when it fails."""

    def __init__(self, command: list[str], log: pathlib.Path, environment: dict[str, str] | None = None):
        self.command = command
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=log.parent
            )

    def wait_for(self, what: str, probe: Callable[[], object], pause: float = 0.02):
        """Polls as `wait_until` does, and raises RuntimeError at once when the process ends before."""

        def alive_probe():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.command[0]} ended with {self.process.returncode}:\n{self.tail()}")
            return probe()

        try:
            return wait_until(what, alive_probe, pause=pause)
        except TimeoutError:
            self.stop()
            raise

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for who does not hear."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def tail(self) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-3000:]
