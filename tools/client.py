"""Writes the Python client's types and methods from the OpenAPI file of the product.

Run: python -m tools.client
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flowlink.app.web import create_app
from flowlink.kernel import settings

PLACE = Path(__file__).parent.parent / "clients/python/flowlink_client"
GROUPS = {"resources": "Resources", "partner": "Partner", "admin": "Admin"}
WORDS = {"string": "str", "integer": "int", "number": "Number", "boolean": "bool", "null": "None"}
LONGEST = 90

Schema = dict[str, Any]


def document() -> Schema:
    """The OpenAPI file, as the product serves it."""
    return create_app().openapi()


def files(openapi: Schema) -> dict[str, str]:
    """The two written files by name, formatted."""
    return {
        "models.py": _formatted("\n".join(_models(openapi))),
        "api.py": _formatted("\n".join(_api(openapi))),
    }


def _models(openapi: Schema) -> Iterator[str]:
    yield '"""What the API takes and answers, written from its OpenAPI file by `tools.client`."""\n'
    yield "from decimal import Decimal"
    yield "from typing import Any, Literal, NotRequired, TypedDict\n"
    yield "Number = int | Decimal\n"
    for name, schema in sorted(openapi["components"]["schemas"].items()):
        if name.startswith("Body_"):
            continue  # files are sent by hand
        if "properties" not in schema:
            yield f"{_name(name)} = {_type(schema)}\n"
            continue
        required = set(schema.get("required", ()))
        yield f"\nclass {_name(name)}(TypedDict):"
        if about := schema.get("description"):
            yield f'    """{_line(about)}"""\n'
        for key, found in schema["properties"].items():
            said = repr(_type(found))
            yield f"    {key}: {said if key in required else f'NotRequired[{said}]'}"
        yield ""


def _api(openapi: Schema) -> Iterator[str]:
    yield '"""Every operation of the API, written from its OpenAPI file by `tools.client`."""\n'
    yield "from collections.abc import Mapping"
    yield "from typing import Any, Protocol, cast"
    yield "from urllib.parse import quote\n"
    yield "from flowlink_client import models\n"
    yield "class Call(Protocol):"
    yield '    """What sends a request and reads its answer."""\n'
    yield "    def __call__(self, method: str, path: str, *,"
    yield "        query: Mapping[str, object] | None = ..., body: object = ...,"
    yield "        headers: Mapping[str, str | None] | None = ...) -> Any: ...\n"
    for group, name in GROUPS.items():
        yield f"\nclass {name}:"
        yield f'    """What stands under `/api/{group}`."""\n'
        yield "    def __init__(self, call: Call) -> None:"
        yield "        self._call = call\n"
        for path, methods in sorted(openapi["paths"].items()):
            if path.startswith(f"/api/{group}/"):
                for method, found in methods.items():
                    yield from _operation(path, method, found)


def _operation(path: str, method: str, found: Schema) -> Iterator[str]:
    content = found.get("requestBody", {}).get("content", {})
    if content and "application/json" not in content:
        return  # files are sent by hand
    places: dict[str, list[Schema]] = {"path": [], "query": [], "header": []}
    for one in found.get("parameters", ()):
        if one["in"] in places:
            places[one["in"]].append(one)
    places["path"].sort(key=lambda one: path.index(f"{{{one['name']}}}"))
    taken = [f"{one['name']}: str" for one in places["path"]]
    if content:
        taken.append(f"body: {_here(content['application/json']['schema'])}")
    named = [_argument(one) for one in (*places["query"], *places["header"])]
    operation = found["operationId"].partition("_api_")[0]
    said, answer = _answer(found)
    arguments = ", ".join(["self", *taken, *(["*"] if named else []), *named])
    yield f"    def {operation}({arguments}) -> {said}:"
    yield f'        """{_line(found.get("description") or found.get("summary", ""))}"""'
    sent = [f'"{method.upper()}"', _path(path, places["path"])]
    for word, ones in (("query", places["query"]), ("headers", places["header"])):
        if ones:
            names = [one["name"] for one in ones]
            pairs = ", ".join(f'"{name}": {_word(name)}' for name in names)
            sent.append(f"{word}={{{pairs}}}")
    if content:
        sent.append("body=body")
    call = f"self._call({', '.join(sent)})"
    yield f"        {answer.format(call=call)}\n"


def _answer(found: Schema) -> tuple[str, str]:
    good = next(each for status, each in found["responses"].items() if status.startswith("2"))
    schema = good.get("content", {}).get("application/json", {}).get("schema")
    if not schema:
        return "None", "{call}"
    said = _here(schema)
    return said, "return {call}" if said == "Any" else f'return cast("{said}", {{call}})'


def _path(path: str, places: list[Schema]) -> str:
    for one in places:
        path = path.replace(f"{{{one['name']}}}", f"{{quote({one['name']}, safe='')}}")
    return f'f"{path}"' if places else f'"{path}"'


def _argument(one: Schema) -> str:
    said = _here(one.get("schema", {}))
    required = one.get("required", False)
    said = said if required or "None" in said.split(" | ") else f"{said} | None"
    return f"{_word(one['name'])}: {said}" + ("" if required else " = None")


def _word(name: str) -> str:
    return name.lower().replace("-", "_")


def _here(schema: Schema) -> str:
    """A type as `api.py` names it."""
    if "$ref" in schema:
        return f"models.{_type(schema)}"
    if schema.get("type") == "array" and "$ref" in schema.get("items", {}):
        return f"list[{_here(schema['items'])}]"
    return "str" if "Literal" in _type(schema) else _type(schema).replace("Number", "models.Number")


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return _name(schema["$ref"].rpartition("/")[2])
    if "enum" in schema or "const" in schema:
        return f"Literal[{', '.join(map(repr, schema.get('enum') or [schema['const']]))}]"
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(_type(one) for one in schema[word]))
    kind = schema.get("type")
    if kind == "array":
        return f"list[{_type(schema.get('items', {}))}]"
    if kind == "object":
        more = schema.get("additionalProperties")
        return f"dict[str, {_type(more)}]" if isinstance(more, dict) else "dict[str, Any]"
    return WORDS.get(str(kind), "Any")


def _name(name: str) -> str:
    """As in Python: what two modules both call `OfferOut` keeps the module's name in front."""
    words = name.removeprefix("flowlink__").replace("-", "_").split("_")
    return "".join(word[:1].upper() + word[1:] for word in words if word)


def _line(text: str) -> str:
    """The first sentence, on one line."""
    line = " ".join(text.split()).partition(". ")[0].rstrip(".")
    short = line if len(line) <= LONGEST else line[:LONGEST].rpartition(" ")[0] + " …"
    return short.replace("\\", "").replace('"', "'") + "."


def _formatted(source: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    fixed = subprocess.run(  # noqa: S603
        [*ruff, "check", "--fix-only", "--quiet", "--stdin-filename", str(PLACE / "x.py"), "-"],
        input=source, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return subprocess.run(  # noqa: S603
        [*ruff, "format", "--quiet", "--stdin-filename", str(PLACE / "x.py"), "-"],
        input=fixed,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def main() -> None:
    """Write the files anew."""
    settings.use(settings.Settings())
    for name, text in files(document()).items():
        (PLACE / name).write_text(text)


if __name__ == "__main__":
    main()
