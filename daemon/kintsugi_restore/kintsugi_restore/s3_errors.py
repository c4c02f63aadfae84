"""Translates errors of S3 and its library to one sentence and one of our errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore import exceptions
from urllib3.exceptions import HTTPError

from kintsugi.errors import StoreChanged, StoreError, StoreRefused, StoreUnreachable
from kintsugi.telemetry import in_words, refused_as

_REFUSALS = {
    "NoSuchBucket": "there is no such bucket",
    "InvalidBucketName": "the name of the bucket is not valid",
    "InvalidAccessKeyId": "the credentials are wrong: S3 does not know this access key",
    "SignatureDoesNotMatch": "the credentials are wrong: the secret does not belong to this access key",
    "ExpiredToken": "the credentials have expired",
    "ExpiredTokenException": "the credentials have expired",
    "TokenRefreshRequired": "the credentials have expired",
    "InvalidToken": "the session token of the credentials is not valid",
    "AccessDenied": "the credentials have no right to do this",
    "AllAccessDisabled": "the owner has disabled all access",
    "AccountProblem": "there is a problem with the account",
    "RequestTimeTooSkewed": "the clock of this machine and that of S3 are too far apart: correct it",
    "RequestExpired": "the clock of this machine and that of S3 are too far apart: correct it",
    "PermanentRedirect": "the bucket is in another region: set the region",
    "AuthorizationHeaderMalformed": "the bucket is in another region: set the region",
    "IllegalLocationConstraintException": "the bucket is in another region: set the region",
    "InvalidObjectState": "it is in cold storage (an archive class): restore it from there first",
}
_GONE = frozenset({"NoSuchKey", "404", "NotFound"})
_CHANGED = frozenset({"PreconditionFailed", "412", "InvalidRange", "416"})
_BUSY = frozenset({"SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "TooManyRequests"})
_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.ProfileNotFound,
    exceptions.ConfigNotFound,
    exceptions.InvalidConfigError,
    exceptions.UnauthorizedSSOTokenError,
    exceptions.SSOTokenLoadError,
)
# `HTTPClientError` is the parent of broken, refused and timed out connections, of proxies and of TLS.
_NO_ANSWER = (
    exceptions.HTTPClientError,
    exceptions.ResponseStreamingError,
    exceptions.IncompleteReadError,
    HTTPError,
    OSError,
)


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turn what is raised about `where` (an `s3://…` URL) into StoreRefused, StoreChanged or StoreUnreachable."""
    # KeyError, TypeError, AttributeError and whatever else comes of an answer in which something is missing or of another
    # kind. What answers so is no S3.
    with (
        refused_as(
            lambda error: StoreUnreachable(f"{where}: the answer of S3 cannot be understood: {in_words(error)}")
        ),
        _explained(where),
    ):
        yield


@contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except exceptions.ClientError as error:
        raise _answered(where, error) from error
    except _NO_CREDENTIALS as error:
        raise StoreRefused(f"{where}: no usable credentials were found: {_sentence(error)}") from error
    except exceptions.EndpointConnectionError as error:
        raise StoreUnreachable(f"{where}: S3 cannot be reached: {_sentence(error)}") from error
    except _NO_ANSWER as error:
        raise StoreUnreachable(f"{where}: the connection to S3 failed: {_sentence(error)}") from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise StoreRefused(f"{where}: this cannot be asked of S3: {_sentence(error)}") from error


def _answered(where: str, error: exceptions.ClientError) -> StoreError:
    """Judge an answer of the server by its code, and by its HTTP status where the code says nothing."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _REFUSALS:
        return StoreRefused(f"{where}: {_REFUSALS[code]} ({code})")
    if code in _GONE:
        return StoreChanged(f"{where}: it does not exist any more")
    if code in _CHANGED:
        return StoreChanged(f"{where}: it was overwritten after it was listed")
    if code in _BUSY or status == 429 or status >= 500:
        return StoreUnreachable(f"{where}: S3 cannot answer now: {code or status} {message}".rstrip())
    if status in (401, 403):
        return StoreRefused(f"{where}: {_REFUSALS['AccessDenied']} ({code or status})")
    return StoreRefused(f"{where}: S3 refused the request: {code or status} {message}".rstrip())


def _sentence(error: Exception) -> str:
    """Return what a library says, on one line and not too long."""
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
