"""
The readers of credentials of kubernetes-asyncio, without the models that it imports with them.

Two packages of the library import a class for each kind of object: 800 modules and 30 MiB that Kintsugi does not use. Here
the code of these packages does not run before somebody asks for a name that it defines. The readers import two such names,
`ApiClient` and `Configuration`, for annotations and as defaults of arguments that Kintsugi gives. If a later version of the
library needs more, the packages load as a whole: this costs memory and breaks nothing.
"""

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_UNUSED = ("ApiClient", "Configuration")


def _load_when_asked(name: str) -> ModuleType:
    """Put a package into `sys.modules` whose code runs when a name is asked for that it does not have yet."""
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"no package {name}", name=name)
    package, loader = module_from_spec(spec), spec.loader

    def ask(attribute: str) -> object:
        del vars(package)["__getattr__"]
        loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = ask
    sys.modules[name] = package
    return package


_load_when_asked("kubernetes_asyncio")
_client = _load_when_asked("kubernetes_asyncio.client")
vars(_client).update(dict.fromkeys(_UNUSED, object))

from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader  # noqa: E402
from kubernetes_asyncio.config.kube_config import KubeConfigMerger, load_kube_config  # noqa: E402

for _name in _UNUSED:
    if vars(_client)[_name] is object:
        del vars(_client)[_name]

__all__ = ["InClusterConfigLoader", "KubeConfigMerger", "load_kube_config"]
