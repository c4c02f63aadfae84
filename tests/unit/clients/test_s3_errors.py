"""Everything that S3 and its library say becomes one sentence and one of three kinds."""

import pytest
from botocore import exceptions as told
from urllib3.exceptions import ProtocolError

from kintsugi.errors import StoreChanged, StoreError, StoreRefused, StoreUnreachable
from kintsugi_restore.s3_errors import explained

WHERE = "s3://backup-bucket/database/1.dump"


def raised(error: Exception) -> StoreError:
    """Return what an error is turned into."""
    with pytest.raises(StoreError) as found, explained(WHERE):
        raise error
    assert str(found.value).startswith(f"{WHERE}: ")
    assert "\n" not in str(found.value)
    return found.value


def answer(code: str, status: int, message: str = "") -> told.ClientError:
    """Make the error of an answer."""
    return told.ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "GetObject",
    )


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("NoSuchBucket", 404, "there is no such bucket"),
        ("InvalidAccessKeyId", 403, "S3 does not know this access key"),
        ("SignatureDoesNotMatch", 403, "the secret does not belong to this access key"),
        ("ExpiredToken", 400, "the credentials have expired"),
        ("AccessDenied", 403, "the credentials have no right to do this"),
        ("403", 403, "the credentials have no right to do this"),
        ("RequestTimeTooSkewed", 403, "too far apart"),
        ("PermanentRedirect", 301, "set the region"),
        ("InvalidObjectState", 403, "cold storage"),
        ("MethodNotAllowed", 405, "S3 refused the request: MethodNotAllowed"),
    ],
)
def test_an_s3_error_that_no_repetition_changes_is_a_refusal(code: str, status: int, said: str) -> None:
    """It never leads to an older backup."""
    found = raised(answer(code, status))
    assert isinstance(found, StoreRefused)
    assert said in str(found)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer("NoSuchKey", 404), StoreChanged),
        (answer("PreconditionFailed", 412), StoreChanged),
        (answer("InvalidRange", 416), StoreChanged),
        (answer("SlowDown", 503, "Please reduce your request rate."), StoreUnreachable),
        (answer("InternalError", 500), StoreUnreachable),
        (answer("429", 429), StoreUnreachable),
        (told.EndpointConnectionError(endpoint_url="http://nowhere"), StoreUnreachable),
        (told.ReadTimeoutError(endpoint_url="http://nowhere"), StoreUnreachable),
        (told.ConnectTimeoutError(endpoint_url="http://nowhere"), StoreUnreachable),
        (told.SSLError(endpoint_url="https://nowhere", error="certificate verify failed"), StoreUnreachable),
        (told.IncompleteReadError(actual_bytes=1, expected_bytes=2), StoreUnreachable),
        (ProtocolError("Connection broken"), StoreUnreachable),
        (ConnectionResetError(104, "Connection reset by peer"), StoreUnreachable),
        (told.NoCredentialsError(), StoreRefused),
        (told.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), StoreRefused),
        (told.ProfileNotFound(profile="x"), StoreRefused),
        (told.ParamValidationError(report="Invalid bucket name"), StoreRefused),
        (told.NoRegionError(), StoreRefused),
        (ValueError("Invalid endpoint: x"), StoreRefused),
    ],
    ids=lambda case: case.__name__ if isinstance(case, type) else type(case).__name__,
)
def test_an_error_is_of_the_object_or_may_be_over_in_a_moment_or_is_on_our_side(
    error: Exception, kind: type[StoreError]
) -> None:
    """Only the first is about the one object; in the second case a download goes on, so and so often."""
    assert isinstance(raised(error), kind)
