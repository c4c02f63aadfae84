"""
The two CEL environments of a scope.

One checks exactly: structs are protobuf messages. The other runs on plain dicts, where CEL checks no fields.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

from kintsugi.expressions.computed_fields import ComputedField
from kintsugi.expressions.descriptors import message_pool
from kintsugi.expressions.dialect import exact
from kintsugi.expressions.types import Struct, Type, structs_in

_EXTENSIONS = (ext_optional.ExtOptional(), ext_bindings.ExtBindings(), ext_strings.ExtStrings(), ext_math.ExtMath())
_WORD = re.compile(r"[A-Za-z_]\w*")
_PARSER = cel.NewEnv(extensions=_EXTENSIONS)


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """
    The environment in which expressions with the same names are compiled. `container` is a prefix that names may leave
    out.
    """

    names: dict[str, Type]
    structs: dict[str, Struct]
    container: str
    check: cel.Env
    run: cel.Env


@lru_cache(maxsize=512)
def environment(names: frozenset[tuple[str, Type]], container: str = "") -> Environment:
    """Build the environment of these names, once."""
    declared = dict(names)
    structs = frozenset[Struct]().union(*map(structs_in, declared.values()))
    return Environment(
        names=declared,
        structs={struct.name: struct for struct in structs},
        container=container,
        check=cel.NewEnv(
            message_pool(structs),
            variables={name: exact(kind) for name, kind in declared.items()},
            extensions=_EXTENSIONS,
            container=container,
        ),
        run=cel.NewEnv(
            variables=dict.fromkeys(declared, cel.Type.DYN),
            extensions=_EXTENSIONS,
            container=container,
        ),
    )


def meant_by(
    source: str, names: Mapping[str, Type], fields: Iterable[ComputedField], container: str = ""
) -> Mapping[str, Type]:
    """
    Return the names that an expression may mean: each word of them is in it, or one of its computed fields needs them.

    CEL pays for each name that is declared: a runbook that recovers hundreds of services has hundreds of places, and each
    place sees the names of all services, and of all steps before it.
    """
    words = {*container.split("."), *_WORD.findall(source)}
    needed = {name for each in fields if each.name in words for name in each.uses}
    return {name: kind for name, kind in names.items() if name in needed or words.issuperset(name.split("."))}


def stems_in(source: str, names: Iterable[str]) -> frozenset[str]:
    """Return the words of an expression with which a name begins."""
    words = set(_WORD.findall(source))
    return frozenset(stem for name in names if (stem := name.partition(".")[0]) in words)


def parse(source: str) -> bytes:
    """Return the serialised tree of an expression as written, with nothing resolved. Raises RuntimeError, as CEL does."""
    return bytes(_PARSER.compile(source, disable_check=True).serialize())
