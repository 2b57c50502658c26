"""Writes the JSON Schemas that are shipped, from the shapes that the files are read by.

A schema is never stricter than what loads. It says less where JSON Schema cannot say it (what must
hold between keys, which pattern can match nothing), and does not know a date-time from a string or
1 from 1.0. It is draft-07, the newest one that editors for TOML know; and it refers to nothing, not
even within itself, since they look no further for completions. --check says what has drifted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentauth_cli.config import shape
from agentauth_cli.inbound import apikeys
from agentauth_cli.inbound.claims import MAX_TEXT
from agentauth_cli.policy import budgets, cases, condition_file, names, pattern, rules, switches
from agentauth_cli.policy.usage import LONGEST_MODEL
from agentauth_cli.tables import values, zones
from agentauth_cli.tables.shape import Brief, ListOf, Named, OneOrMore, Table, Value
from agentauth_cli.terms import KINDS, RESERVED_ISSUERS

if TYPE_CHECKING:
    from agentauth_cli.tables.shape import Key, Shape

FOLDER = Path(__file__).resolve().parent.parent / "agentauth_cli" / "schemas"
FILES = {
    "config": shape.FILE,
    "policy": rules.FILE,
    "budgets": budgets.FILE,
    "killswitch": switches.FILE,
    "apikeys": apikeys.FILE,
}

Schema = dict[str, Any]


def _text(regex: str, description: str = "", **more: Any) -> Schema:
    described = {"description": description} if description else {}
    return {"type": "string", "pattern": f"^(?:{regex})$", **described, **more}


def _integer(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


# -- patterns --------------------------------------------------------------------------------

_LITERAL = r"[^\\?*]|\\[*\\]"
_RUNS = rf"(?:\*?(?:{_LITERAL}))*"
_ISSUER = "[a-z0-9][a-z0-9-]{0,31}"
_ID = (
    rf"{_ISSUER}/(?:\*|(?:\*?(?:{_LITERAL}))+\*?)"
    rf"|(?:{_ISSUER})?\*(?:(?:{_LITERAL}){_RUNS}\*?)?"
)
_PART = r"[a-z0-9_.-]"
_ACTION = rf"{names.ACTION.pattern}|{_PART}*\*(?:{_PART}+\*)*{_PART}*"
_CLAIM = r"principal\.claims\.[^${}*?\\]+"
_GLOB = "`*` is any run of characters."


def _template(*variables: str) -> Schema:
    known = "|".join([*(name.replace(".", r"\.") for name in variables), _CLAIM])
    piece = rf"[^\\?*$]|\\[*\\]|\$(?!\{{)|\$\{{(?:{known})\}}"
    told = ", ".join(f"${{{name}}}" for name in (*variables, "principal.claims.NAME"))
    return _text(rf"(?:\*?(?:{piece}))*\*?", f"{_GLOB} Variables: {told}.", minLength=1)


_NAME = _text(rf"{_RUNS}\*?", _GLOB, minLength=1)
_PRINCIPAL = _text(
    rf"kind:(?:{'|'.join(KINDS)})|group:(?:{_ID})|{_ID}",
    f"ISSUER/SUBJECT, group:ISSUER/GROUP or kind:KIND. {_GLOB}",
)
_ZONE = _text("[A-Za-z0-9_+/-]+", 'A time zone such as "Europe/Paris".')
_TEXT: Schema = {"type": "string", "minLength": 1}

# -- what each function that reads a value takes -----------------------------------------------

PARSERS: dict[Any, Schema] = {
    str: {"type": "string"},
    values.text: _TEXT,
    values.boolean: {"type": "boolean"},
    values.always: {"type": "boolean", "enum": [True]},
    values.integer: _integer(0, values.MAX_INTEGER),
    values.version: {"type": "integer", "enum": [1]},
    values.duration: _text(
        values.DURATION.pattern,
        'A duration such as "900s", "15m", "1h" or "7d".',
        **{"not": {"pattern": "^0+.$"}},
    ),
    values.money: _text(values.MONEY.pattern, 'An amount in USD such as "0.50".'),
    values.cost: _text(values.MONEY.pattern, 'An amount in USD such as "0.50".'),
    values.tokens: _integer(0, values.MOST),
    values.rate: _text(values.RATE.pattern, 'A rate such as "30/minute".'),
    values.moment: {"type": "string", "format": "date-time"},
    zones.zone: _ZONE,
    zones.zone_name: _ZONE,
    names.rule_id: _text(names.RULE_ID.pattern),
    pattern.principal: _PRINCIPAL,
    pattern.identifier: _text(_ID, f"ISSUER/SUBJECT. {_GLOB}"),
    pattern.short: _text(r"(?:\*?[A-Za-z0-9._-])*\*?", _GLOB, minLength=1),
    pattern.action: _text(_ACTION, f"provider.resource_type.verb. {_GLOB}"),
    pattern.name: _NAME,
    pattern.claim: _NAME,
    pattern.template: _template(*pattern.POLICY_VARIABLES),
    condition_file.claim_name: _TEXT,
    condition_file.hours: _text(condition_file.HOURS.pattern, 'A span such as "08:00-18:00".'),
    cases.claim: {},
    cases.decider: _text(rf"(?:{names.RULE_ID.pattern})?", 'The id of a rule, "" for none.'),
    budgets.dimension: _text("|".join([*budgets.PER, rf"group:(?:{_ID})"])),
    budgets.fraction: {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    budgets.price_name: {"pattern": r"^[^/*]+/[\s\S]+$", "maxLength": LONGEST_MODEL},
    shape.profile: _text(rf"{shape.PROFILE}[\s\S]+"),
    shape.aws_source: _text("|".join([*shape.SOURCES, rf"{shape.PROFILE}[\s\S]+"])),
    shape.tool_resource: _template(*pattern.POLICY_VARIABLES, *shape.PROVIDER_VARIABLES),
    shape.ledger: _text("|".join([*shape.LEDGERS, rf"{shape.POSTGRESQL}[\s\S]*"])),
    shape.uid: _integer(0, shape.MAX_UID),
    shape.short_name: _text(names.SHORT.pattern, **{"not": {"enum": [".", "..", "-"]}}),
    shape.issuer_name: _text(_ISSUER, **{"not": {"enum": sorted(RESERVED_ISSUERS)}}),
    apikeys.subject: _text(names.SHORT.pattern, **{"not": {"enum": [".", ".."]}}),
    apikeys.group: {"type": "string", "minLength": 1, "maxLength": MAX_TEXT},
}


def _value(parse: Any) -> Schema:
    """Return what a function takes. Raises KeyError for one that is not known here."""
    match parse:
        case values.Choice():
            return {"type": "string", "enum": list(parse.names)}
        case values.Form():
            return _text(parse.pattern.pattern, parse.expected)
        case shape.Url():
            return _text(shape.ENDPOINT.pattern, "A URL." if parse.path else "A base URL.")
    return PARSERS[parse]


# -- shapes ------------------------------------------------------------------------------------


def schema(of: Shape) -> Schema:
    """Return what a value of this shape is."""
    match of:
        case Value():
            return _value(of.parse)
        case ListOf():
            return {"type": "array", "items": schema(of.entry), "minItems": of.least}
        case OneOrMore():
            return {"anyOf": [schema(of.entry), schema(ListOf(of.entry))]}
        case Brief():
            return {"anyOf": [schema(of.table.keys[of.key].shape), schema(of.table)]}
        case Named():
            entries = {"additionalProperties": schema(of.entry), "minProperties": 1}
            return {"type": "object", "propertyNames": _value(of.name), **entries}
        case Table():
            return _table(of)
    raise KeyError(of)


def _table(of: Table) -> Schema:
    required = [name for name, key in of.keys.items() if key.required]
    return {
        "type": "object",
        "properties": {name: _key(key) for name, key in of.keys.items()},
        **({"required": required} if required else {"minProperties": 1}),
        "additionalProperties": False,
    }


def _key(key: Key) -> Schema:
    """Return the shape's, with what the key is where it is not there, if the file could say so."""
    described = schema(key.shape)
    plain = isinstance(key.default, str | bool) and key.default != ""
    return {**described, "default": key.default} if plain else described


def files() -> dict[Path, str]:
    """Return every schema, by its path."""
    return {
        FOLDER / f"{name}.json": json.dumps(
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "title": f"{name}.toml of agentauth",
                **schema(table),
            },
            indent=1,
        )
        + "\n"
        for name, table in FILES.items()
    }


def main() -> None:
    """Write the schemas, or check them."""
    drifted = []
    for path, text in files().items():
        if not path.exists() or path.read_text() != text:
            drifted.append(path.name)
            if "--check" not in sys.argv[1:]:
                path.write_text(text)
    if drifted and "--check" in sys.argv[1:]:
        sys.exit(f"drifted: {', '.join(drifted)}; run `make schemas`")


if __name__ == "__main__":
    main()
