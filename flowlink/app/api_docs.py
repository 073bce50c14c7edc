"""The API's reference at `/docs`: the OpenAPI document as a page of ours, without scripts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from flowlink.web import render

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value that an operation takes in its path or query."""

    name: str
    place: str
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the API does. `body` is an example of what it takes, as JSON, or empty."""

    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    body: str


@router.get("/docs")
def reference(request: Request) -> HTMLResponse:
    """Every operation by subject, with its parameters and an example of its body."""
    document = request.app.openapi()
    groups: dict[str, list[Operation]] = {}
    for tag, operation in _operations(document):
        groups.setdefault(tag, []).append(operation)
    return render.page(request, "app/api.html", groups=sorted(groups.items()))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, methods in sorted(document["paths"].items()):
        for method, found in methods.items():
            tag = (found.get("tags") or ["api"])[0]
            yield tag, _operation(document, method=method, path=path, found=found)


def _operation(
    document: dict[str, Any], *, method: str, path: str, found: dict[str, Any]
) -> Operation:
    parameters = tuple(
        Parameter(p["name"], p["in"], _type(p.get("schema", {})), bool(p.get("required")))
        for p in found.get("parameters", [])
    )
    content = found.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema")
    body = json.dumps(_example(document, schema), indent=2, ensure_ascii=False) if schema else ""
    summary, _, description = found.get("description", found.get("summary", "")).partition("\n")
    return Operation(method.upper(), path, summary, description.strip(), parameters, body)


def _type(schema: dict[str, Any]) -> str:
    options = [_type(option) for option in schema.get("anyOf", [])]
    return " | ".join(options) or schema.get("format") or schema.get("type", "any")


def _example(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Any:
    """A value of the right shape: names of types stand where values go."""
    if depth > 4:
        return "…"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _example(document, document["components"]["schemas"][name], depth + 1)
    if "properties" in schema:
        return {
            name: _example(document, part, depth + 1) for name, part in schema["properties"].items()
        }
    if schema.get("type") == "array":
        return [_example(document, schema.get("items", {}), depth + 1)]
    return schema.get("default") or _type(schema)
