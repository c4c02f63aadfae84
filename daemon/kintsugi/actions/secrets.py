"""Reads a key of a Secret when it is needed; its value is not kept, and is masked from then on."""

import base64
import binascii

from kintsugi.errors import KubeError, NotFound
from kintsugi.kube.client import KubeClient
from kintsugi.model.services import SecretRef
from kintsugi.telemetry import SECRETS
from kubeobjects import unstructured
from kubeobjects.resources import SECRETS as KIND


async def value_of(kube: KubeClient, reference: SecretRef, namespace: str) -> str:
    """Return the value. Raises NotFound when the Secret or its key is missing, KubeError when it cannot be read."""
    secret = await kube.get(KIND, reference.secret, namespace)
    encoded = unstructured.nested_string(secret, "data", reference.key)
    if not encoded:
        raise NotFound(f"secret/{reference.secret} in {namespace} has no key {reference.key!r}", status=404)
    try:
        value = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise KubeError(f"the key {reference.key!r} of secret/{reference.secret} is not text") from error
    SECRETS.register(value)
    return value
