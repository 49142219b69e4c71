"""The API's description, made of the same declarations that its routes are made of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from disco_rq.version import __version__
from disco_rq.views import shapes
from disco_rq.web.endpoint import Endpoint
from disco_rq.web.problem import CODES

__all__ = ["document"]

REF = "#/components/schemas/{name}"
EVERYWHERE = ("bad-request", "login", "host", "redis", "busy")
OF_ACTIONS = ("csrf", "origin", "read-only")
UNHEALTHY = 503
DESCRIPTION = (
    "What the web page shows and does. With a secret: Authorization: Bearer TOKEN, or the log-in cookie; "
    "actions by cookie, or without a secret, need X-CSRF-Token (GET /api/v1/session)."
)


def document(endpoints: Sequence[Endpoint], streams: Sequence[tuple[str, type[Any], str]]) -> dict[str, Any]:
    """An OpenAPI 3.1 document. ``streams``: path, parameters and summary of each stream of events."""
    kinds = [
        kind for _, kind in inspect.getmembers(shapes, inspect.isclass) if issubclass(kind, msgspec.Struct)
    ]
    _, components = msgspec.json.schema_components(kinds, ref_template=REF)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        operation = _operation(
            endpoint.asked, endpoint.path, endpoint.summary, endpoint.method, endpoint.problems
        )
        operation["responses"]["200"] = _answer(endpoint.answer)
        if endpoint.path == "/healthz":
            operation["responses"][str(UNHEALTHY)] = _answer("application/json")
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    for path, asked, summary in streams:
        operation = _operation(
            asked, path, summary, "GET", ("unknown-job", "refused") if "{" in path else ("refused",)
        )
        operation["responses"]["200"] = _answer("text/event-stream")
        paths[path] = {"get": operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "disco-rq",
            "version": __version__,
            "description": DESCRIPTION,
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _problem_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}, {}],
    }


def _operation(
    asked: type[Any], path: str, summary: str, method: str, problems: Sequence[str]
) -> dict[str, Any]:
    codes = [*EVERYWHERE, *(OF_ACTIONS if method == "POST" else ()), *problems]
    responses: dict[str, Any] = {}
    for code in codes:
        status = str(CODES[code])
        known = responses.get(status, {}).get("description", "")
        responses[status] = {
            "description": f"{known}, {code}" if known else code,
            "content": {"application/json": {"schema": {"$ref": REF.format(name="Problem")}}},
        }
    return {
        "summary": summary,
        "operationId": re.sub(r"\W+", "_", f"{method.lower()} {path}").strip("_"),
        "parameters": _parameters(asked, path),
        "responses": responses,
    }


def _parameters(asked: type[Any], path: str) -> list[dict[str, Any]]:
    _, components = msgspec.json.schema_components([asked], ref_template=REF)
    schema = components[asked.__name__]
    return [
        {
            "name": name,
            "in": "path" if f"{{{name}}}" in path else "query",
            "required": name in schema.get("required", ()),
            "schema": _query_schema(of_it),
        }
        for name, of_it in schema["properties"].items()
    ]


def _query_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """No query can hold a null: what may be missing is left out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if "enum" in schema:
        return {**schema, "enum": [value for value in schema["enum"] if value is not None]}
    return kinds[0] if len(kinds) == 1 else schema


def _answer(kind: Any) -> dict[str, Any]:
    if isinstance(kind, str):
        schema: dict[str, Any] = {} if kind == "application/json" else {"type": "string"}
        return {"description": "as it says", "content": {kind: {"schema": schema}}}
    return {
        "description": kind.__name__,
        "content": {"application/json": {"schema": {"$ref": REF.format(name=kind.__name__)}}},
    }


def _problem_schema() -> dict[str, Any]:
    properties = {"code": {"enum": sorted(CODES)}, "message": {"type": "string"}}
    error = {"type": "object", "properties": properties, "required": ["code", "message"]}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}
