"""The `kubesim` command: a cluster that runs until it is stopped, for kubectl or any other client."""

import argparse
import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from kubesim.cluster import EmbeddedCluster
from kubesim.errors import KubesimError
from kubesim.manifest import Json

DONE, FAILED, USAGE = 0, 1, 2


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(
        prog="kubesim",
        description="Run a small Kubernetes in this process, write a kubeconfig for it, and go on until Ctrl-C.",
    )
    made.add_argument(
        "--kubeconfig",
        metavar="FILE",
        type=Path,
        help="write the kubeconfig there, and leave it there; the default is a temporary file that goes with the cluster",
    )
    made.add_argument(
        "--apply",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="apply the manifests of a YAML file at the start; may be given several times",
    )
    made.add_argument("--port", type=int, default=0, help="listen on this port of 127.0.0.1 (default: a free one)")
    made.add_argument(
        "--speed",
        type=speed,
        default=1.0,
        metavar="FACTOR",
        help="divide every delay of Kubernetes by this (default: 1)",
    )
    made.add_argument(
        "--node", metavar="NAME", action="append", help="name a node; may be given several times (default: node-1)"
    )
    made.add_argument("--version", action="version", version=f"kubesim {version('kubesim')}")
    return made


def speed(text: str) -> float:
    """Read a factor. Raises ValueError unless it is above 0."""
    if not (value := float(text)) > 0:
        raise ValueError(text)
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code: 0 stopped, 1 failed, 2 usage."""
    given = parser().parse_args(arguments)
    try:
        manifests = [each for path in given.apply for each in manifests_of(path)]
    except (OSError, yaml.YAMLError) as error:
        complain(" ".join(str(error).split()))
        raise SystemExit(USAGE) from error
    try:
        asyncio.run(serve(given, manifests))
    except (OSError, KubesimError) as error:
        complain(str(error))
        raise SystemExit(FAILED) from error


async def serve(given: argparse.Namespace, manifests: Sequence[Json]) -> None:
    """Run the cluster until a signal; the first line says how a shell uses it. Raises OSError, KubesimError."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    nodes = tuple(given.node or ("node-1",))
    with place(given.kubeconfig) as kubeconfig:
        async with EmbeddedCluster.start(given.speed, given.port, nodes=nodes) as cluster:
            for manifest in manifests:
                cluster.apply(manifest)
            cluster.kubeconfig(kubeconfig)
            sys.stdout.write(f"export KUBECONFIG={shlex.quote(str(kubeconfig))}\n")
            sys.stdout.flush()
            complain(f"{cluster.url} is ready; Ctrl-C ends it")
            await stopped.wait()


@contextlib.contextmanager
def place(wanted: Path | None) -> Iterator[Path]:
    """Return where the kubeconfig goes: the file that is wanted, or one in a folder that goes with the cluster."""
    if wanted is not None:
        yield Path(os.path.abspath(wanted))  # noqa: PTH100 - a link that a person made is left as it is
        return
    with TemporaryDirectory(prefix="kubesim-") as folder:
        yield Path(folder, "kubeconfig")


def manifests_of(path: Path) -> list[Json]:
    """Read the manifests of a file. Raises OSError, YAMLError."""
    with path.open() as stream:
        return [each for each in yaml.safe_load_all(stream) if each]


def complain(text: str) -> None:
    """Write a line for people, beside the output."""
    sys.stderr.write(f"kubesim: {text}\n")
