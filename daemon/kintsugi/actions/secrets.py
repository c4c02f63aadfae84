"""A key of a Secret, read when it is needed, kept nowhere, and masked from then on wherever it turns up."""

import base64
import binascii

from kintsugi.actions import live
from kintsugi.errors import KubeError, NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.documents import SecretRef
from kintsugi.objects.resources import SECRETS as KIND
from kintsugi.telemetry import SECRETS


async def value_of(kube: KubeClient, reference: SecretRef, namespace: str) -> str:
    """Read the value. Raises NotFound when the Secret or its key is not there, KubeError when it cannot be had."""
    secret = await kube.get(KIND, reference.secret, namespace)
    encoded = live.text(secret, "data", reference.key)
    if not encoded:
        raise NotFound(f"secret/{reference.secret} in {namespace} has no key {reference.key!r}", status=404)
    try:
        value = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise KubeError(f"the key {reference.key!r} of secret/{reference.secret} is not text") from error
    SECRETS.register(value)
    return value
