"""Documents of services whose pods and workloads have other names than they."""

from typing import Any

from tests.unit.factories import service_text


def service(name: str, *, app: str, workload: str, **more: Any) -> str:
    """Write a Service whose pods carry `app=APP`, owned by WORKLOAD (KIND/NAME); the rest is as in `service_text`."""
    text = service_text(name, **more)
    return text.replace(f"selector: app={name}\n", f"selector: app={app}\n").replace(
        f"deployment/{name}\n", f"{workload}\n"
    )
