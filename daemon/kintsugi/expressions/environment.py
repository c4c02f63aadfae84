"""
The two CEL environments of a scope.

One checks exactly: structs are protobuf messages, functions have their types. The other runs on plain dicts, where
CEL checks no fields; calls have been replaced by then (`expansion`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

from kintsugi.expressions.descriptors import message_pool
from kintsugi.expressions.dialect import exact
from kintsugi.expressions.function import Function
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
    functions: dict[str, Function]
    structs: dict[str, Struct]
    container: str
    check: cel.Env
    run: cel.Env


@lru_cache(maxsize=512)
def environment(
    names: frozenset[tuple[str, Type]], functions: tuple[Function, ...], container: str = ""
) -> Environment:
    """Build the environment of these names, once."""
    declared = dict(names)
    kinds = [*declared.values()]
    for function in functions:
        kinds += [kind for form in function.accepts for kind in form] + [function.result]
    structs = frozenset[Struct]().union(*map(structs_in, kinds))
    return Environment(
        names=declared,
        functions={function.name: function for function in functions},
        structs={struct.name: struct for struct in structs},
        container=container,
        check=cel.NewEnv(
            message_pool(structs),
            variables={name: exact(kind) for name, kind in declared.items()},
            functions=[_checked(function) for function in functions],
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
    source: str, names: Mapping[str, Type], functions: Iterable[Function], container: str = ""
) -> Mapping[str, Type]:
    """
    Return the names that an expression may mean: each word of them is in it, or a function needs them.

    CEL pays for each name that is declared: a runbook that recovers hundreds of services has hundreds of places, and each
    place sees the names of all services, and of all steps before it.
    """
    texts = [source, *(function.runs for function in functions)]
    words = {*container.split("."), *(word for text in texts for word in _WORD.findall(text))}
    needed = {
        name for function in functions for computed_field in function.computed_fields for name in computed_field.uses
    }
    return {name: kind for name, kind in names.items() if name in needed or words.issuperset(name.split("."))}


def stems_in(source: str, names: Iterable[str]) -> frozenset[str]:
    """Return the words of an expression with which a name begins."""
    words = set(_WORD.findall(source))
    return frozenset(stem for name in names if (stem := name.partition(".")[0]) in words)


def parse(source: str) -> bytes:
    """Return the serialised tree of an expression as written, with nothing resolved. Raises RuntimeError, as CEL does."""
    return bytes(_PARSER.compile(source, disable_check=True).serialize())


def _checked(function: Function) -> cel.FunctionDecl:
    return cel.FunctionDecl(
        function.name,
        [
            cel.Overload(f"{function.name}_{number}", exact(function.result), [exact(kind) for kind in form])
            for number, form in enumerate(function.accepts)
        ],
    )
