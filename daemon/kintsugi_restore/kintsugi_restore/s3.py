"""
The only client of S3: lists a folder, reads an object's first bytes, or all of it from any byte on. It only reads.

boto3 blocks, so each call runs in a thread. Endpoint, region and credentials come by its usual chain (environment,
files, the identity of the pod). Every call ends: connecting, each wait for bytes and the repeats of a request are
bounded; a caller that continues after a break limits how often (`kintsugi_restore.worker.fetch_download`). Bodies are streamed.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from kintsugi.errors import StoreChanged, StoreRefused
from kintsugi_restore.s3_errors import explained
from kintsugi_restore.s3_objects import S3Folder, StoredObject, Upload

MOST_OBJECTS = 100_000
"""A folder that holds more is not listed to its end: it is no folder of backups."""

_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Service:
    """
    The S3 service and its timeouts in seconds. An empty `endpoint` or `region` is found by the SDK's usual chain.

    `silence` is the longest wait for the next bytes; `attempts` counts one request with its repeats.
    """

    endpoint: str = ""
    region: str = ""
    connect: float = 10
    silence: float = 20
    attempts: int = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectHead:
    """The first bytes of an object, what it is now, and its user's metadata (names in lower case)."""

    stored: StoredObject
    metadata: Mapping[str, str]
    head: bytes


class S3Client:
    """Read one S3 service."""

    def __init__(self, service: S3Service) -> None:
        self._service = service
        self._client: Any = None

    async def list(self, folder: S3Folder) -> tuple[StoredObject, ...]:
        """Return all objects of a folder, page after page. Raises StoreRefused and StoreUnreachable."""
        return await asyncio.to_thread(self._list, folder)

    async def uploads(self, folder: S3Folder) -> tuple[Upload, ...]:
        """Return the incomplete uploads; empty where the server does not list them, or refuses us."""
        with suppress(StoreRefused, StoreChanged):
            return await asyncio.to_thread(self._uploads, folder)
        return ()

    async def head(self, folder: S3Folder, stored: StoredObject, *, first: int) -> ObjectHead:
        """Read the first bytes of an object. Raises StoreChanged when it is gone, and as `list`."""
        return await asyncio.to_thread(self._head, folder, stored, first)

    @asynccontextmanager
    async def body(self, folder: S3Folder, stored: StoredObject, *, start: int = 0) -> AsyncIterator["Body"]:
        """
        Open an object at a byte for reading.

        Raises StoreChanged when it is not, byte for byte, the one that was seen (by its ETag and its size).
        """
        opened = await asyncio.to_thread(self._open, folder, stored, start)
        try:
            yield opened
        finally:
            opened.close()

    def _list(self, folder: S3Folder) -> tuple[StoredObject, ...]:
        found: list[StoredObject] = []
        with explained(folder.url):
            pages = self._boto().get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=folder.prefix)
            for number, page in enumerate(pages):
                found += map(_listed, page.get("Contents", ()))
                if max(len(found), number) > MOST_OBJECTS:
                    raise StoreRefused(
                        f"{folder.url}: it holds more than {MOST_OBJECTS} objects: name the folder of the backups"
                    )
        return tuple(found)

    def _uploads(self, folder: S3Folder) -> tuple[Upload, ...]:
        with explained(folder.url):
            answer = self._boto().list_multipart_uploads(Bucket=folder.bucket, Prefix=folder.prefix)
            found = answer.get("Uploads", ())
            return tuple(Upload(key=str(each["Key"]), begun=_utc(each["Initiated"])) for each in found)

    def _head(self, folder: S3Folder, stored: StoredObject, first: int) -> ObjectHead:
        with explained(folder.of(stored.key)):
            answer = self._boto().get_object(Bucket=folder.bucket, Key=stored.key, Range=f"bytes=0-{first - 1}")
            with answer["Body"] as body:
                head = bytes(body.read(first))
            size, modified = _whole(answer), _utc(answer["LastModified"])
        seen = StoredObject(key=stored.key, size=size, modified=modified, etag=_plain(answer.get("ETag")))
        metadata = {name.lower(): str(value) for name, value in answer.get("Metadata", {}).items()}
        return ObjectHead(stored=seen, metadata=metadata, head=head)

    def _open(self, folder: S3Folder, stored: StoredObject, start: int) -> "Body":
        where = folder.of(stored.key)
        condition = {"IfMatch": f'"{stored.etag}"'} if stored.etag else {}
        with explained(where):
            answer = self._boto().get_object(Bucket=folder.bucket, Key=stored.key, Range=f"bytes={start}-", **condition)
            size = _whole(answer)
        # A server may pass over If-Match: what it sends says itself what it is.
        if (size, _plain(answer.get("ETag"))) != (stored.size, stored.etag):
            answer["Body"].close()
            raise StoreChanged(f"{where}: it was overwritten after it was listed")
        return Body(where, answer["Body"])

    def _boto(self) -> Any:
        """Make the client at the first question: finding credentials takes time and may fail."""
        if self._client is None:
            self._client = boto3.session.Session().client(
                "s3",
                endpoint_url=self._service.endpoint or None,
                region_name=self._service.region or None,
                config=Config(
                    connect_timeout=self._service.connect,
                    read_timeout=self._service.silence,
                    retries={"mode": "standard", "total_max_attempts": self._service.attempts},
                    # The whole is verified by its recorded sha256; a checksum of the whole fits no part of it.
                    response_checksum_validation="when_required",
                    s3={"addressing_style": "path"} if self._service.endpoint else {},
                ),
            )
        return self._client


class Body:
    """The bytes of an object from where it was opened on, as they come."""

    def __init__(self, where: str, stream: Any) -> None:
        self._where = where
        self._stream = stream

    async def copy(self, sink: Callable[[bytes], None]) -> None:
        """
        Write all bytes to the sink as they come, at most a MiB at a time, in a thread that is gone afterwards.

        Raises StoreUnreachable when the stream breaks or is silent, and what the sink raises.
        """
        copying = asyncio.ensure_future(asyncio.to_thread(self._copy, sink))
        try:
            await asyncio.shield(copying)
        finally:
            if not copying.done():
                self._wake()
                await asyncio.wait({copying})

    def close(self) -> None:
        """Break the stream off."""
        self._stream.close()

    def _copy(self, sink: Callable[[bytes], None]) -> None:
        while piece := self._next():
            sink(piece)

    def _next(self) -> bytes:
        """Take what has come; boto3's own `read` waits until as much has come as was asked for."""
        with explained(self._where):
            return bytes(self._stream._raw_stream.read1(_PIECE))

    def _wake(self) -> None:
        """Wake the thread that waits for bytes."""
        # The connection may have gone back to its pool, or be gone.
        with suppress(ValueError, RuntimeError, OSError):
            self._stream._raw_stream.shutdown()


def _listed(item: Mapping[str, Any]) -> StoredObject:
    return StoredObject(
        key=str(item["Key"]), size=int(item["Size"]), modified=_utc(item["LastModified"]), etag=_plain(item.get("ETag"))
    )


def _plain(etag: object) -> str:
    return str(etag or "").strip('"')


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _whole(answer: Mapping[str, Any]) -> int:
    """Return the size of the whole object from the answer about a part of it."""
    _, _, whole = str(answer.get("ContentRange", "")).rpartition("/")
    return int(whole) if whole.isdecimal() else int(answer["ContentLength"])
