"""A base image with Python in it, where none can be pulled: from files of this machine's own Debian packages.

It stands in for `python:3.13-slim` under the Dockerfile of the examples, which is built as it is: there is a shell, a
`python` and a `pip`. pip finds its packages in /wheels rather than in the network, which the build has none of.
"""

from __future__ import annotations

import functools
import io
import pathlib
import re
import subprocess
import sys
import tarfile

import pip
from conftest import TESTS

IMAGE = "viaduct-test/python"

# What the image must have; the packages that these need come with them.
PACKAGES = ("python3-minimal", "libpython3-stdlib", "dash")

# Where / has links to /usr since Debian 12: packages still name their files by the old places.
MERGED = ("bin", "sbin", "lib", "lib64")

PIP = "#!/usr/bin/python3\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n"


@functools.cache
def installed() -> dict[str, list[list[str]]]:
    """What each installed package, or what it provides, needs: all of the inner lists, any name of each."""
    form = "${Package}\t${Pre-Depends}, ${Depends}\t${Provides}\t${db:Status-Abbrev}\n"
    answer = subprocess.check_output(["dpkg-query", "-W", "-f", form], text=True)
    packages = {}
    for line in answer.splitlines():
        name, needs, provides, status = line.split("\t")
        if status.startswith("ii"):
            packages[name] = [names(alternatives.split("|")) for alternatives in needs.split(",")]
            for provided in names(provides.split(",")):
                packages.setdefault(provided, [[name]])
    return packages


def names(relations: list[str]) -> list[str]:
    """Names out of `libc6:any (>= 2.36)`."""
    return [re.split(r"[ :(]", relation.strip())[0] for relation in relations if relation.strip()]


def closure(wanted: tuple[str, ...]) -> set[str]:
    """The packages with everything that they need."""
    found: set[str] = set()
    waiting = list(wanted)
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        assert package in installed(), f"the package {package} is not installed"
        found.add(package)
        for alternatives in installed()[package]:
            waiting += [name for name in alternatives if name in installed()][:1]
    return found


def files(packages: set[str]) -> dict[pathlib.Path, pathlib.Path]:
    """What the packages own, folders before what is in them: place in the image → place on this machine."""
    listed = subprocess.run(["dpkg-query", "-L", *sorted(packages)], capture_output=True, text=True).stdout
    found = {}
    for line in listed.splitlines():
        place = pathlib.Path(line)
        inside = place.relative_to("/") if line.startswith("/") and line != "/." else None
        # What is a list of names of others, or was left out when its package was installed.
        if inside is None or str(inside) in MERGED or not (place.is_symlink() or place.exists()):
            continue
        is_moved = inside.parts[0] in MERGED
        if inside.parts[:3] != ("usr", "share", "doc"):
            found[pathlib.Path("usr", inside) if is_moved else inside] = place
    return dict(sorted(found.items()))


def download_wheels(folder: pathlib.Path) -> None:
    """pika and boto3 with what they need, in the versions that all tests use."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-q"]
    constraints = ["-c", TESTS / "requirements.txt"]
    only = ["--only-binary=:all:"]
    subprocess.run([*pip, *only, *constraints, "-d", folder, "pika", "boto3"], check=True)


def write_tar(path: pathlib.Path, wheels: pathlib.Path) -> None:
    """The root of the image."""
    with tarfile.open(path, "w") as tar:
        for name in MERGED:
            add(tar, name, tarfile.SYMTYPE, link=f"usr/{name}")
        for inside, place in files(closure(PACKAGES)).items():
            tar.add(place, inside, recursive=False)
        # Not the package's pip, which need not be installed, but that of the tests' own environment.
        tar.add(pathlib.Path(pip.__file__).parent, "usr/lib/python3/dist-packages/pip")
        tar.add(wheels, "wheels")
        add(tar, "usr/local/bin/pip", tarfile.REGTYPE, 0o755, text=PIP)
        add(tar, "usr/local/bin/python", tarfile.SYMTYPE, link="/usr/bin/python3")
        add(tar, "tmp", tarfile.DIRTYPE, 0o1777)


def add(tar: tarfile.TarFile, name: str, kind: bytes, mode: int = 0o777, link: str = "", text: str = "") -> None:
    """Adds what is no file of this machine."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.linkname, entry.size = kind, mode, link, len(text.encode())
    tar.addfile(entry, io.BytesIO(text.encode()))


def make(daemon, folder: pathlib.Path) -> None:
    """Imports the image into a daemon."""
    wheels = folder / "wheels"
    download_wheels(wheels)
    tar = folder / "python.tar"
    write_tar(tar, wheels)
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "/wheels",
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
    }
    changes = [f"--change=ENV {name}={value}" for name, value in environment.items()]
    daemon.docker("import", *changes, str(tar), IMAGE)
    tar.unlink()
