"""The calls of the API's page as commands for a shell, with all that a call must be given by its description.

A field's example is its `x-example`: OpenAPI's own `example` is what clients and testers send by themselves.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

Description = Mapping[str, Any]

EXAMPLE = "x-example"
# Shown for a path's `{kind}` where it is one of the kinds.
_USUAL = "mask"


def curl_commands(spec: Description, base: str, path: str, verb: str) -> list[str]:
    """One command for each form that the call's body may have.

    base: the portal's address, without a slash behind it.
    """
    item = spec["paths"][path]
    operation = item[verb]
    parameters = [_resolved(spec, found) for found in (*item.get("parameters", ()), *operation.get("parameters", ()))]
    address = f'"{base}{_address(path, parameters)}"'
    bodies = operation.get("requestBody", {}).get("content", {})
    sent = [_body(media, _resolved(spec, body["schema"])) for media, body in bodies.items()] or [""]
    save = " -O" if _is_file(address) else ""
    return [f"curl{_method(verb, body)}{body}{save} {address}" for body in sent]


def _method(verb: str, body: str) -> str:
    is_usual = verb == "get" or (verb == "post" and body)
    return "" if is_usual else f" -X {verb.upper()}"


def _address(path: str, parameters: list[Description]) -> str:
    chosen = {parameter["name"]: _value(parameter) for parameter in parameters if parameter["in"] in ("path", "query")}
    asked = [parameter["name"] for parameter in parameters if parameter["in"] == "query" and parameter.get("required")]
    query = "&".join(f"{name}={chosen[name]}" for name in asked)
    return re.sub(r"{(\w+)}", lambda found: chosen.get(found[1], f"${found[1]}"), path) + (f"?{query}" if query else "")


def _value(parameter: Description) -> str:
    """One of the allowed values, or a variable of the shell."""
    allowed = parameter.get("schema", {}).get("enum") or [f"${parameter['name']}"]
    return _USUAL if _USUAL in allowed else str(allowed[0])


def _body(media: str, schema: Description) -> str:
    fields = schema.get("properties", {})
    if media == "multipart/form-data":
        files = [name for name in schema.get("required", ()) if name in fields]
        return "".join(f" -F {name}=@{fields[name].get(EXAMPLE, 'scan.png')}" for name in files)
    examples = {name: field[EXAMPLE] for name, field in fields.items() if EXAMPLE in field}
    return f" -H 'Content-Type: application/json' -d '{json.dumps(examples)}'"


def _is_file(address: str) -> bool:
    """Whether the answer is a file to keep rather than text to read."""
    name = address.strip('"').partition("?")[0].rpartition("/")[2]
    return name == "original" or ("." in name and not name.endswith(".json"))


def _resolved(spec: Description, found: Description) -> Description:
    reference = found.get("$ref", "")
    if not reference:
        return found
    kind, name = reference.split("/")[-2:]
    resolved: Description = spec["components"][kind][name]
    return resolved
