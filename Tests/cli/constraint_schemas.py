"""200 JSON schemas for constrained output, from plain to nested and recursive; the same ones each time.

`python Tests/cli/constraint_schemas.py` prints them as JSON.
"""

import json
import random

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 30},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "email": {"type": "string", "format": "email"},
    },
    "required": ["name", "age"],
}
ADDRESS = {
    "type": "object", "title": "Address", "description": "where somebody lives",
    "properties": {
        "street": {"type": "string", "maxLength": 24}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
        "country": {"enum": ["DE", "FR", "JP", "中国"]},
    },
    "required": ["street", "zip", "country"], "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": -9, "maximum": 9},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
            },
            "required": ["value"],
        }
    },
}
EXPRESSION = {
    "$ref": "#/$defs/e",
    "$defs": {
        "e": {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 99},
                {
                    "type": "object",
                    "properties": {"op": {"enum": ["+", "-", "*"]}, "left": {"$ref": "#/$defs/e"}, "right": {"$ref": "#/$defs/e"}},
                    "required": ["op", "left", "right"],
                },
            ]
        }
    },
}
SHAPE = {
    "oneOf": [
        {
            "type": "object",
            "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0, "maximum": 100}},
            "required": ["kind", "radius"],
        },
        {
            "type": "object",
            "properties": {"kind": {"const": "box"}, "sides": {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 9.5}, "minItems": 2, "maxItems": 2}},
            "required": ["kind", "sides"],
        },
    ]
}

WRITTEN = [
    True, {}, {"type": "null"}, {"type": "boolean"}, {"type": "integer"}, {"type": "number"}, {"type": "string"},
    {"type": "array"}, {"type": "object"}, {"type": ["integer", "null"]}, {"type": ["string", "boolean", "null"]},
    {"const": "fixed"}, {"const": {"a": [1, 2.5, None, True], "b": "q\"uote\n"}}, {"const": -1.5e-7},
    {"enum": ["red", "green", "blue"]}, {"enum": [1, 2.5, "three", None, False, [4], {"five": 5}]},
    {"enum": ["日本", "é", "\u0001", "😀", "a/b\\c"]}, {"type": "string", "enum": ["yes", "no", 3]},
    {"type": "string", "minLength": 3}, {"type": "string", "maxLength": 5}, {"type": "string", "minLength": 4, "maxLength": 4},
    {"type": "string", "maxLength": 0}, {"type": "string", "pattern": "^[A-Z][a-z]{2,8}$"}, {"type": "string", "pattern": "ab"},
    {"type": "string", "pattern": "^\\d{3}-\\d{4}$"}, {"type": "string", "pattern": "^(\\+49|0)[1-9][0-9]{3,9}$"},
    {"type": "string", "pattern": "^[^\"\\\\]{1,6}$"}, {"type": "string", "pattern": "^\\S+@\\S+$", "maxLength": 12},
    {"type": "string", "pattern": "[0-9]$", "minLength": 3, "maxLength": 9}, {"type": "string", "pattern": "^(a|b|)+$", "maxLength": 7},
    {"type": "string", "pattern": "^[\\w.-]+\\.(txt|md)$", "maxLength": 15}, {"type": "string", "pattern": "^[\\u4e00-\\u9fff]{2,4}$"},
    {"type": "string", "format": "date"}, {"type": "string", "format": "time"}, {"type": "string", "format": "date-time"},
    {"type": "string", "format": "uuid"}, {"type": "string", "format": "email"}, {"type": "string", "format": "ipv4"},
    {"type": "string", "format": "ipv6"}, {"type": "string", "format": "hostname"}, {"type": "string", "format": "uri"},
    {"type": "integer", "minimum": 0}, {"type": "integer", "maximum": -1}, {"type": "integer", "minimum": 7, "maximum": 7},
    {"type": "integer", "minimum": -120, "maximum": 1025}, {"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 12},
    {"type": "integer", "minimum": 1.5, "maximum": 3.5}, {"type": "integer", "multipleOf": 7}, {"type": "integer", "multipleOf": 25, "minimum": 1000},
    {"type": "integer", "multipleOf": 1440, "minimum": 0, "maximum": 100000}, {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001}, {"type": "number", "minimum": -273.15},
    {"type": "number", "maximum": 1e6}, {"type": "number", "exclusiveMinimum": -0.5, "maximum": 0.5}, {"type": "number", "multipleOf": 3, "minimum": -50, "maximum": 50},
    {"type": "number", "minimum": 99.95, "maximum": 100.05}, {"minimum": 10, "maximum": 20},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 5}, {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 3},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4}, {"type": "array", "maxItems": 0},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string", "maxLength": 4}], "minItems": 2},
    {"type": "array", "prefixItems": [{"const": 1}], "items": {"type": "null"}, "maxItems": 4},
    {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": False, "minItems": 1},
    {"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "maxItems": 3}, "maxItems": 3},
    {"type": "array", "items": False}, {"type": "array", "minItems": 1, "maxItems": 2},
    PERSON, ADDRESS, TREE, EXPRESSION, SHAPE,
    {"type": "object", "additionalProperties": {"type": "integer", "minimum": 0, "maximum": 5}, "maxProperties": 3},
    {"type": "object", "additionalProperties": {"type": "boolean"}, "minProperties": 1},
    {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": {"enum": [1, 2]}},
    {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "required": ["b"]},
    {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "minProperties": 1},
    {"type": "object", "patternProperties": {"^x_[a-z]{1,4}$": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "patternProperties": {"^s_": {"type": "string", "maxLength": 3}, "^i_": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"], "patternProperties": {"^x": {"type": "boolean"}}},
    {"type": "object", "propertyNames": {"pattern": "^[a-z]{1,5}$"}, "additionalProperties": {"type": "null"}},
    {"type": "object", "required": ["must", "too"]}, {"type": "object", "additionalProperties": False},
    {"type": "object", "properties": {"": {"type": "integer"}, "a b": {"type": "null"}, "q\"": {"const": 1}}, "required": ["", "q\""]},
    {"anyOf": [{"type": "integer", "minimum": 5}, {"type": "null"}, {"type": "string", "maxLength": 2}]},
    {"anyOf": [PERSON, ADDRESS]}, {"oneOf": [{"type": "integer"}, {"type": "string", "format": "date"}, {"type": "array", "items": {"type": "null"}}]},
    {"oneOf": [{"type": "integer", "maximum": 4}, {"type": "integer", "minimum": 10}]},
    {"oneOf": [{"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}], "maxLength": 8},
    {"allOf": [{"type": "integer"}, {"minimum": 3}, {"maximum": 12}]},
    {"allOf": [PERSON, {"properties": {"age": {"minimum": 18}, "admin": {"type": "boolean"}}, "required": ["admin"]}]},
    {"allOf": [{"type": "string", "pattern": "^[a-f]+$"}, {"pattern": "c", "maxLength": 6}]},
    {"allOf": [{"type": ["string", "integer"]}, {"type": ["number", "null"]}]},
    {"allOf": [{"enum": [1, 2, 3, "x"]}, {"enum": [3, 4, "x", 1.0]}]},
    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "anyOf": [{"properties": {"b": {"type": "null"}}, "required": ["b"]}, {"properties": {"c": {"type": "boolean"}}, "required": ["c"]}]},
    {"$defs": {"positive": {"type": "integer", "exclusiveMinimum": 0}}, "type": "array", "items": {"$ref": "#/$defs/positive"}, "maxItems": 4},
    {"definitions": {"s": {"type": "string", "maxLength": 6}}, "properties": {"x": {"$ref": "#/definitions/s"}, "y": {"$ref": "#/definitions/s", "minLength": 2}}, "required": ["x", "y"], "type": "object"},
    {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "v": {"type": "integer"}}, "required": ["next"]},
    {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/b"}, "maxItems": 2}, "b": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}, "n": {"type": "null"}}, "required": ["n"]}}},
    {"type": "object", "properties": {"tags": {"type": "array", "items": {"type": "string", "pattern": "^#[a-z]+$", "maxLength": 9}, "maxItems": 3}, "when": {"type": "string", "format": "date-time"}, "ok": {"const": True}}, "required": ["tags", "when", "ok"]},
    {"type": "object", "properties": {"user": PERSON, "home": ADDRESS, "score": {"type": "number", "minimum": 0, "maximum": 1}}, "required": ["user", "home", "score"]},
    {"type": "array", "items": PERSON, "minItems": 1, "maxItems": 3}, {"type": "array", "items": SHAPE, "maxItems": 3},
    {"type": "object", "properties": {"tree": {"type": "object", "properties": {"left": {"type": ["integer", "null"]}, "right": {"type": ["integer", "null"]}}, "required": ["left", "right"]}, "matrix": {"type": "array", "items": {"type": "array", "items": {"type": "number", "minimum": -1, "maximum": 1}, "minItems": 2, "maxItems": 2}, "minItems": 2, "maxItems": 2}}, "required": ["tree", "matrix"]},
    {"type": "object", "properties": {"name": {"const": "get_weather"}, "arguments": {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"], "default": "celsius"}}, "required": ["city"]}}, "required": ["name", "arguments"]},
]


def made(rng, depth):
    """A schema by chance."""
    kinds = ["integer", "number", "string", "enum", "boolean", "nullable", "format", "pattern"]
    if depth > 0:
        kinds += ["object", "object", "array", "anyOf", "map", "tuple"]
    kind = rng.choice(kinds)
    if kind == "integer":
        low = rng.randint(-10 ** rng.randint(0, 6), 10 ** rng.randint(0, 6))
        schema = {"type": "integer", rng.choice(["minimum", "exclusiveMinimum"]): low}
        if rng.random() < 0.7:
            schema[rng.choice(["maximum", "exclusiveMaximum"])] = low + rng.randint(2, 10 ** rng.randint(1, 6))
        return schema
    if kind == "number":
        low = round(rng.uniform(-100, 100), rng.randint(0, 4))
        return {"type": "number", rng.choice(["minimum", "exclusiveMinimum"]): low, rng.choice(["maximum", "exclusiveMaximum"]): round(low + rng.uniform(0.01, 50), 4)}
    if kind == "string":
        low = rng.randint(0, 6)
        return {"type": "string", "minLength": low, "maxLength": low + rng.randint(0, 12)}
    if kind == "enum":
        pool = ["alpha", "beta", "gamma ray", "δ", 1, 2.5, None, True, "x\ty"]
        return {"enum": rng.sample(pool, rng.randint(1, 5))}
    if kind == "boolean":
        return {"type": "boolean"}
    if kind == "nullable":
        return {"type": [rng.choice(["integer", "boolean"]), "null"]}
    if kind == "format":
        return {"type": "string", "format": rng.choice(["date", "time", "date-time", "uuid", "email", "ipv4"])}
    if kind == "pattern":
        return {"type": "string", "pattern": rng.choice(["^[a-z]{2,6}$", "^(foo|bar)[0-9]?$", "^[A-Z]{3}-[0-9]{2}$", "^\\w{1,8}$", "^[01]{4,8}$"])}
    if kind == "array":
        low = rng.randint(0, 2)
        return {"type": "array", "items": made(rng, depth - 1), "minItems": low, "maxItems": low + rng.randint(0, 3)}
    if kind == "tuple":
        items = [made(rng, depth - 1) for _ in range(rng.randint(1, 3))]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": rng.randint(0, len(items))}
    if kind == "anyOf":
        return {"anyOf": [made(rng, depth - 1) for _ in range(rng.randint(2, 3))]}
    if kind == "map":
        return {"type": "object", "additionalProperties": made(rng, depth - 1), "propertyNames": {"pattern": "^[a-z_]{1,6}$"}, "maxProperties": rng.randint(1, 3)}
    names = rng.sample(["id", "name", "value", "kind", "items", "meta", "größe", "x y"], rng.randint(1, 5))
    return {
        "type": "object",
        "properties": {name: made(rng, depth - 1) for name in names},
        "required": [name for name in names if rng.random() < 0.6],
        "additionalProperties": False,
    }


def schemas():
    rng = random.Random(20)
    return WRITTEN + [made(rng, 1 + i % 3) for i in range(200 - len(WRITTEN))]


if __name__ == "__main__":
    print(json.dumps(schemas()))
