"""Folders and objects of S3 buckets."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from kintsugi.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Folder:
    """All keys of a bucket that begin with `prefix`, which is empty or ends in a slash."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `s3://BUCKET/PREFIX/`. Raises UsageError with what would be right."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise UsageError(
                f"{url!r} is no place in S3: write s3://BUCKET/PREFIX/, as in s3://backup-bucket/database/"
            )
        prefix = unquote(parts.path).strip("/")
        return cls(bucket=parts.netloc, prefix=f"{prefix}/" if prefix else "")

    @property
    def url(self) -> str:
        """Return where it is, as a person writes it."""
        return self.of(self.prefix)

    def of(self, key: str) -> str:
        """Return where a key of the bucket is, as a person writes it; what cannot be seen in it is written as in a URL."""
        return f"s3://{self.bucket}/{''.join(each if each.isprintable() else quote(each) for each in key)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """
    An object as it was listed: `size` in bytes, `modified` the end of its upload by S3's clock, aware and in UTC.

    `etag` changes with its content; it is empty where the server lists none.
    """

    key: str
    size: int
    modified: datetime
    etag: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """An upload in parts that is not complete: until then its key shows nothing of it."""

    key: str
    begun: datetime
