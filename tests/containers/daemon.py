"""A Docker daemon of one's own: nobody else's containers, images or network, and nothing left when it ends.

It runs in namespaces of its own (network, mounts, processes), with images, volumes and /run in memory: a containerd
or a Docker that the machine has is not seen. The kernel ends all of it, containers too, with the first process of the
namespaces, and that one with whoever started it. What a kernel doesn't clean up, a folder and empty cgroups, goes with
`close`, or with the next start if that was never reached.

Two things are the kernel's and not a namespace's, and stay when it ends: dockerd loads the module br_netfilter, if the
kernel has it as one, and where AppArmor is, the profile docker-default, both as every Docker does.

    python3 containers/daemon.py        # exit code 0 if a daemon can run a container here, else 1 and the reason
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time

# A daemon is up within 2 s here; a loaded machine takes several times that.
START_SECONDS = 60
STOP_SECONDS = 20

PROGRAMS = ("dockerd", "containerd", "runc", "docker", "iptables", "ip", "unshare", "nsenter", "setpriv", "dpkg-query")

# Starts the name that the folder and the cgroups of a daemon share.
MARK = "viaduct-docker-"

CGROUPS = pathlib.Path("/sys/fs/cgroup")


class NoDaemon(Exception):
    """A daemon cannot be started here; the text says why."""


class Daemon:
    """A started daemon: `docker` and `compose` talk to it, `inside` reaches the ports that it publishes."""

    def __init__(self):
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            raise NoDaemon(f"not installed: {', '.join(missing)}")
        if os.geteuid() != 0:
            raise NoDaemon("only root may make the namespaces of a daemon")
        sweep()
        self.folder, self.lock = locked_folder()
        self.cgroup = self.folder.name
        self.log_path = self.folder / "log"
        self.environment = os.environ | {
            "DOCKER_HOST": f"unix://{self.folder}/docker.sock",
            "DOCKER_CONFIG": str(self.folder / "config"),
            # The builder that every version has; the other one is a plug-in.
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_PROJECT_NAME": "viaduct",
        }
        self.environment.pop("DOCKER_CONTEXT", None)
        self.process = self._spawn()
        try:
            self._wait()
            self.compose("version")
        except BaseException:
            self.close()
            raise

    def _spawn(self) -> subprocess.Popen:
        daemon = [
            "dockerd",
            f"--data-root={self.folder}/data",
            f"--exec-root={self.folder}/exec",
            f"--pidfile={self.folder}/docker.pid",
            f"--host=unix://{self.folder}/docker.sock",
            f"--cgroup-parent={self.cgroup}",
            "--exec-opt=native.cgroupdriver=cgroupfs",  # systemd's would be asked outside of the namespaces
            f"--config-file={self.folder}/daemon.json",
            "--log-level=warn",
        ]
        (self.folder / "daemon.json").write_text("{}")
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        # The published ports are on a loopback of its own, which is down at first. Images are thousands of small
        # files, which a disk takes longer to delete than everything else takes together.
        (self.folder / "data").mkdir()
        # In /run are the machine's containerd, which dockerd would attach to, and what Docker keeps beside exec-root.
        prepare = 'ip link set lo up && mount -t tmpfs tmpfs /run && mount -t tmpfs -o size=4g tmpfs "$0" && exec "$@"'
        start = ["sh", "-c", prepare, f"{self.folder}/data", *daemon]
        with self.log_path.open("wb") as log:
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *namespaces, *start],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, who then close the daemon
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise NoDaemon(f"dockerd ended with {self.process.returncode}:\n{self.log()}")
            if self.docker("version", check=False).returncode == 0:
                return
            if time.monotonic() > deadline:
                raise NoDaemon(f"dockerd does not answer within {START_SECONDS} s:\n{self.log()}")
            time.sleep(0.05)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")[-4000:]

    # --- use --------------------------------------------------------------------------------

    def run(self, command: list[str], check: bool = True, **options) -> subprocess.CompletedProcess:
        """Runs a program that talks to the daemon."""
        ended = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, **options)
        assert not check or ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}{ended.stderr}\n{self.log()}"
        return ended

    def docker(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        return self.run(["docker", *arguments], check)

    def inspect(self, what: str) -> dict:
        return json.loads(self.docker("inspect", what).stdout)[0]

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Runs Compose, as the plug-in or as the program of its own that it once was."""
        return self.run([*self._compose, *arguments], check)

    @functools.cached_property
    def _compose(self) -> list[str]:
        has_plugin = self.docker("compose", "version", check=False).returncode == 0
        if not has_plugin and shutil.which("docker-compose") is None:
            raise NoDaemon("neither `docker compose` nor docker-compose is installed")
        return ["docker", "compose"] if has_plugin else ["docker-compose"]

    def inside(self, command: list[str], **options) -> subprocess.CompletedProcess:
        """Runs a program where the published ports are: in the daemon's network."""
        return self.run(["nsenter", f"--target={self._first_process()}", "--net", *command], **options)

    def beside(self, container: str, command: list[str]) -> subprocess.CompletedProcess:
        """Runs a program in the network of a container, whose loopback is the broker's own."""
        process = self.inspect(container)["State"]["Pid"]  # as the daemon's namespaces count
        joins = ["nsenter", f"--target={self._first_process()}", "--pid", "--mount"]
        return self.run([*joins, "nsenter", f"--target={process}", "--net", *command])

    def _first_process(self) -> int:
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    # --- end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends the daemon and everything in it, and removes what it made."""
        with contextlib.suppress(OSError, IndexError):
            os.kill(self._first_process(), signal.SIGTERM)  # ends the containers and unmounts
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        self.process.kill()
        self.process.wait()
        remove(self.folder)
        os.close(self.lock)


def parent_folder() -> pathlib.Path:
    """Where folders are: not in /run, of which the daemon has one of its own, while its socket is for those outside."""
    usual = pathlib.Path(tempfile.gettempdir())
    return pathlib.Path("/var/tmp") if usual.resolve().is_relative_to("/run") else usual


def locked_folder() -> tuple[pathlib.Path, int]:
    """A new folder, and a descriptor that locks it for as long as this process lives, which every namespace sees."""
    new = pathlib.Path(tempfile.mkdtemp(prefix=f"new-{MARK}", dir=parent_folder()))
    lock = os.open(new, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Only now is it one that `sweep` looks at.
    return new.rename(new.with_name(new.name.removeprefix("new-"))), lock


def remove(folder: pathlib.Path) -> None:
    """Removes a folder, and before it the empty cgroups of its name, which are not files to be deleted."""
    for parent in [*CGROUPS.glob(folder.name), *CGROUPS.glob(f"*/{folder.name}")]:
        for path in sorted(parent.rglob("*"), reverse=True):
            if path.is_dir():
                with contextlib.suppress(OSError):
                    path.rmdir()
        with contextlib.suppress(OSError):
            parent.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Removes what a daemon left whose starter was killed: its processes went with it, and so did its lock."""
    for folder in parent_folder().glob(f"{MARK}*"):
        with contextlib.suppress(OSError):  # it is locked, or somebody else has just removed it
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(folder)
            finally:
                os.close(lock)


# --- probe --------------------------------------------------------------------------------------


def run_container(daemon: Daemon) -> None:
    """Runs `true` in a container that publishes a port: a daemon may well answer and not be able to."""
    program = shutil.which("true")
    libraries = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", program], capture_output=True, text=True).stdout)
    archive = daemon.folder / "probe.tar"
    with tarfile.open(archive, "w", dereference=True) as tar:
        for path in (program, *libraries):
            tar.add(path)
    daemon.docker("import", str(archive), "probe")
    daemon.docker("run", "--rm", "--publish=127.0.0.1:1024:1024", "probe", program)


def main() -> int:
    try:
        daemon = Daemon()
        try:
            run_container(daemon)
        finally:
            daemon.close()
    except (NoDaemon, AssertionError, subprocess.TimeoutExpired) as reason:
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
