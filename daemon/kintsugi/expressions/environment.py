"""
The two CEL environments of a scope.

One checks exactly: structs are protobuf messages, functions have their types. The other runs on plain dicts, where
CEL checks no fields; calls have been replaced by then (`expansion`).
"""

from dataclasses import dataclass
from functools import lru_cache

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings

from kintsugi.expressions.descriptors import message_pool
from kintsugi.expressions.dialect import exact
from kintsugi.expressions.function import Function
from kintsugi.expressions.types import Struct, Type, structs_in

_EXTENSIONS = (ext_optional.ExtOptional(), ext_bindings.ExtBindings(), ext_strings.ExtStrings(), ext_math.ExtMath())
_PARSER = cel.NewEnv(extensions=_EXTENSIONS)


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """What expressions of one scope are compiled in. `container` is a prefix that names may leave out."""

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


def parse(source: str) -> bytes:
    """Give the serialised tree of an expression as written, with nothing resolved. Raises RuntimeError, as CEL does."""
    return bytes(_PARSER.compile(source, disable_check=True).serialize())


def _checked(function: Function) -> cel.FunctionDecl:
    return cel.FunctionDecl(
        function.name,
        [
            cel.Overload(f"{function.name}_{number}", exact(function.result), [exact(kind) for kind in form])
            for number, form in enumerate(function.accepts)
        ],
    )
