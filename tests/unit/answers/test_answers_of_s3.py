"""Whatever S3 answers: what was asked for, or one StoreError that names the place."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kintsugi.errors import StoreError
from kintsugi_restore.s3 import S3Client, S3Service
from kintsugi_restore.s3_objects import S3Folder, StoredObject
from tests.unit.answers.mutations import FUZZ, wrong_bytes
from tests.unit.answers.wire import Answering, http_answer

FOLDER = S3Folder(bucket="backups", prefix="database/")
LISTED = b"""<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>backups</Name><Prefix>database/</Prefix>
<KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>database/a.dump</Key>
<LastModified>2026-11-26T02:00:00.000Z</LastModified><ETag>&quot;abc&quot;</ETag><Size>1024</Size>
<StorageClass>STANDARD</StorageClass></Contents></ListBucketResult>"""
DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>1</RequestId></Error>"""


OBJECT = http_answer(
    b"PGDMP",
    b"206 Partial Content",
    b'ETag: "abc"\r\nLast-Modified: Thu, 26 Nov 2026 02:00:00 GMT\r\nContent-Range: bytes 0-4/1024\r\n'
    b"x-amz-meta-sha256: 00\r\n",
)
STORED = StoredObject(key="database/a.dump", size=1024, modified=datetime(2026, 11, 26, 2, tzinfo=UTC), etag="abc")


@pytest.fixture(scope="module")
def credentials() -> Iterator[None]:
    """Have credentials, and nothing else of this machine's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "KEY")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture
async def client(server: Answering, credentials: None) -> AsyncIterator[S3Client]:
    """What asks the server; making one takes longer than asking."""
    endpoint = f"http://127.0.0.1:{server.port}"
    made = S3Client(S3Service(endpoint=endpoint, region="eu-central-1", connect=5, silence=0.2, attempts=1))
    yield made
    made._boto().close()


@contextmanager
def refused() -> Iterator[None]:
    """Let the body refuse, as long as it names the place."""
    try:
        yield
    except StoreError as error:
        if "s3://backups/database/" not in str(error):
            raise AssertionError(f"the place is not named: {error}") from error


@FUZZ
@given(
    page=st.one_of(
        [
            wrong_bytes(page)
            for page in (http_answer(LISTED), http_answer(DENIED, b"403 Forbidden"), http_answer(b""), OBJECT)
        ]
    )
)
async def test_any_answer_of_s3_is_read_or_ends_the_worker_by_name(
    server: Answering, client: S3Client, page: bytes
) -> None:
    """B16: the worker says what is wrong, and ends as it should."""
    server.parts = [page]
    with refused():
        assert all(each.size >= 0 for each in await client.list(FOLDER))
    with refused():
        assert (await client.head(FOLDER, STORED, first=5)).stored.key == STORED.key
    with refused():
        await client.uploads(FOLDER)
    with refused():
        async with client.body(FOLDER, STORED) as body:
            await body.copy(lambda _: None)
