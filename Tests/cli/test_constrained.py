"""Constrained output: against `re` and `jsonschema`, with every way to generate, on tiny models that write by chance."""

import datetime
import json
import random
import re

import jsonschema
import pytest
from conftest import ROOT
from constraint_schemas import schemas

MODELS = ROOT / "Tests" / "Fixtures" / "models"
SMALL = MODELS / "llama_gqa"
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER


# The package leaves these two to others.
@FORMATS.checks("time", raises=ValueError)
def is_time(text):
    return not isinstance(text, str) or datetime.time.fromisoformat(text) is not None


@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(text):
    return not isinstance(text, str) or datetime.datetime.fromisoformat(text) is not None


START = f"""
import json
import sys
import mlx.core as mx
from lull.formats import Constraint
from mlx_lm import *
from mlx_lm.chat import *
from mlx_lm.constrained import *
from mlx_lm.generate import *
from mlx_lm.sample_utils import *
from models.cache import *
OTHER = {str(MODELS / "llama_mlx_tied_q4")!r}
model, tokenizer = load({str(SMALL)!r})
ids = [289, 12, 40, 7, 100, 5, 6, 40, 7, 100]


def error(f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except Exception as e:
        print(type(e).__name__ + ":", e)


"""


@pytest.fixture
def printed(lull, tmp_path):
    def run(source, *arguments):
        path = tmp_path / "program.lull"
        path.write_text(START + source)
        result = lull(path, *arguments, timeout=600)
        assert result.code == 0, result.err
        return result.out.splitlines()

    return run


def asked(printed, tmp_path, source, question):
    """What a program answers to a question, both as JSON in files."""
    (tmp_path / "question.json").write_text(json.dumps(question))
    printed(
        f"""
with open({str(tmp_path / "question.json")!r}) as f:
    question = json.load(f)
{source}
with open({str(tmp_path / "answer.json")!r}, "w") as f:
    json.dump(answer, f)
"""
    )
    return json.loads((tmp_path / "answer.json").read_text())


def random_pattern(rng, depth):
    if depth == 0:
        return rng.choice(["a", "b", "c", "é", ".", "[ab]", "[^a]", "[a-c]", r"\d", r"\w", "1", r"\.", "[^\\d]", "中"])
    kind = rng.randrange(6)
    inner = lambda: random_pattern(rng, depth - 1)
    if kind == 0:
        return f"({inner()}|{inner()})"
    if kind == 1:
        return f"(?:{inner()}){rng.choice(['*', '+', '?', '*?', '+?', '??'])}"
    if kind == 2:
        low = rng.randint(0, 2)
        return f"(?:{inner()}){{{low},{rng.choice(['', str(low + rng.randint(0, 2))])}}}"
    if kind == 3:
        return f"(?:{inner()}){{{rng.randint(0, 3)}}}"
    return inner() + inner()


def test_patterns_are_those_of_re(printed, tmp_path):
    rng = random.Random(7)
    patterns = [random_pattern(rng, rng.randint(1, 4)) for _ in range(400)]
    patterns += ["^a$|^b$", "(^a|b)c", "a(b|c$)", r"\A[a-c]+\Z", "()", "a||b", "(|a)+b", "(a*)*", "(a|b|)+c"]
    texts = ["".join(rng.choice("aabbcé1.2中 ") for _ in range(rng.randint(0, 8))) for _ in range(150)] + [""]
    answer = asked(
        printed, tmp_path, "answer = [[c.matches(t) for t in question[1]] for c in map(Constraint.regex, question[0])]",
        [patterns, texts],
    )
    matched = 0
    for pattern, row in zip(patterns, answer):
        expected = [re.fullmatch(pattern, text, re.ASCII) is not None for text in texts]
        assert row == expected, (pattern, [t for t, x, y in zip(texts, row, expected) if x != y])
        matched += sum(expected)
    assert matched > 2000


def test_prefixes(printed, tmp_path):
    """A text is a prefix where some way goes on from it: its mask is not empty there."""
    rng = random.Random(8)
    patterns = [random_pattern(rng, 3) for _ in range(120)]
    texts = ["".join(rng.choice("aabbc1. ") for _ in range(5)) for _ in range(60)]
    answer = asked(
        printed, tmp_path,
        "answer = [[[c.is_prefix(t[:i]) for i in range(6)] + [c.matches(t)] for t in question[1]] for c in map(Constraint.regex, question[0])]",
        [patterns, texts],
    )
    for pattern, rows in zip(patterns, answer):
        for text, row in zip(texts, rows):
            # Once it is no prefix it stays none, and what matches is one all along.
            assert row[:6] == sorted(row[:6], reverse=True), (pattern, text)
            assert not row[6] or all(row), (pattern, text)


GENERATE = """
answer = []
for i, schema in enumerate(question):
    constraint = Constraint.json_schema(schema)
    for seed, settings in enumerate([{}, {"top_p": 0.9}, {"top_k": 5}]):
        pieces = []
        for r in stream_generate(
            model, tokenizer, ids, max_tokens=250, constraint=constraint, seed=1000 * seed + i,
            sampler=make_sampler(temp=1.0, **settings),
        ):
            pieces.append(r.text)
        text = "".join(pieces)
        shown = text.rstrip("\ufffd")  # max_tokens may come within a character
        answer.append([i, text, r.finish_reason, constraint.matches(text), constraint.is_prefix(shown)])
"""


def test_200_schemas(printed, tmp_path):
    """Every finished output is valid for `jsonschema`; every other is the beginning of one."""
    all_schemas = schemas()
    assert len(all_schemas) == 200
    answer = asked(printed, tmp_path, GENERATE, all_schemas)
    assert len(answer) == 600
    finished = 0
    for i, text, reason, matches, is_prefix in answer:
        if reason == "stop":
            finished += 1
            assert matches, (all_schemas[i], text)
            value = json.loads(text)
            jsonschema.Draft202012Validator(all_schemas[i], format_checker=FORMATS).validate(value)
        else:
            assert reason == "length" and is_prefix, (all_schemas[i], text)
    assert finished > 500


def test_valid_values_are_recognised(printed, tmp_path):
    """What json.dumps writes of valid values in the order of the schema is accepted, what is not valid never."""
    cases = [
        ({"type": "array", "items": {"type": "integer", "minimum": -5, "maximum": 5}, "maxItems": 3}, [[], [1], [-5, 5, 0], [6], [1, 2, 3, 4], ["1"], [1.5]]),
        ({"type": "object", "properties": {"a": {"type": "number", "minimum": 0.1}, "b": {"type": "string", "pattern": "^x+$"}}, "required": ["a"]},
         [{"a": 0.1}, {"a": 0.09}, {"a": 3, "b": "xx"}, {"a": 1, "b": "y"}, {"b": "x"}, {}]),
        ({"anyOf": [{"type": "null"}, {"$ref": "#/$defs/t"}], "$defs": {"t": {"type": "array", "items": {"$ref": "#"}}}}, [None, [], [None, [[]]], [1], 0]),
        ({"enum": ["é", 1, {"k": [None]}]}, ["é", "e", 1, 2, {"k": [None]}, {"k": []}]),
        (True, [None, 1.5, "\x00\"\\\ud7ff😀", [[{"": {}}]], {"a": {"b": [1, 2]}}]),
    ]
    question = []
    for schema, values in cases:
        texts = [json.dumps(v, ensure_ascii=a, indent=n) for v in values for a in (True, False) for n in (None, 2)]
        texts = [t for t in texts if t.isascii() or not isinstance(schema, dict) or "enum" not in schema or "\\u" not in t]
        question.append([schema, texts])
    answer = asked(printed, tmp_path, "answer = [[Constraint.json_schema(s).matches(t) for t in ts] for s, ts in question]", question)
    for (schema, texts), row in zip(question, answer):
        for text, got in zip(texts, row):
            valid = jsonschema.Draft202012Validator(schema).is_valid(json.loads(text))
            if isinstance(schema, dict) and "enum" in schema and "\\u" in text:
                assert not got  # given texts have one spelling
            else:
                assert got == valid, (schema, text)


def test_every_way_to_generate(printed):
    lines = printed("""
schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 99}, "b": {"enum": ["x", "yy"]}}, "required": ["a", "b"]}
compact = Constraint.json_schema(schema, whitespace="compact")


def run(**kwargs):
    responses = list(stream_generate(model, tokenizer, ids, max_tokens=60, constraint=compact, **kwargs))
    return [r.token for r in responses], "".join(r.text for r in responses), responses[-1].finish_reason


plain = run()
print(compact.matches(plain[1]), plain[2])
draft, _ = load(OTHER)
for settings in ({"prompt_lookup": 3}, {"draft_model": model}, {"draft_model": draft, "num_draft_tokens": 4}, {"kv_bits": 8, "quantized_kv_start": 900}):
    print(run(**settings) == plain)
sampled = make_sampler(temp=1.0)
print([compact.matches(run(sampler=sampled, seed=i, **more)[1]) for i in range(4) for more in ({}, {"prompt_lookup": 3}, {"draft_model": draft})])
cache = make_prompt_cache(model)
list(generate_step(ids[:-1], model, max_tokens=1, prompt_cache=cache))
trim_prompt_cache(cache, 1)
r = list(stream_generate(model, tokenizer, ids[-1:], max_tokens=60, constraint=compact, prompt_cache=cache))
print([x.token for x in r] == plain[0])
batch = batch_generate(model, tokenizer, [ids, ids[:4], ids[:6]], max_tokens=60, constraint=compact)
print(batch.texts[0] == plain[1], [compact.matches(t) for t in batch.texts], batch.finish_reasons)
batch = batch_generate(model, tokenizer, [ids, ids[:4], ids[:6]], max_tokens=[60, 5, 7], regex=["(ab|c){7}", "[xyz]{40}", None])
print([Constraint.regex(p).is_prefix(t) for p, t in zip(["(ab|c){7}", "[xyz]{40}"], batch.texts)], batch.finish_reasons)
talk = Chat(model, tokenizer, regex="yes|no")
print(talk.say("hello") in ("yes", "no"), talk.say("hello", regex="maybe|perhaps") in ("maybe", "perhaps"))
for settings in (dict(temp=1.0, top_k=1), dict(temp=1.0, top_p=0.01), dict(temp=5.0, min_p=0.9), dict(temp=1, xtc_probability=1.0, xtc_threshold=0.001)):
    text = generate(model, tokenizer, ids, regex="([ab]{3}|[cd]{2}e){2}", sampler=make_sampler(**settings), seed=1, max_tokens=50)
    print(Constraint.regex("([ab]{3}|[cd]{2}e){2}").matches(text))
bias = make_logits_processors(logit_bias={t: 1000.0 for t in range(50)}, repetition_penalty=1.5)
print(generate(model, tokenizer, ids, regex="[xy]{6}", logits_processors=bias).strip("xy") == "")
print([r.finish_reason for r in stream_generate(model, tokenizer, ids, regex="[ab]{40}", max_tokens=3)][-1])
print(generate(model, tokenizer, ids, regex="a{9}", stop=["aaa"]) == "")
print(generate(model, tokenizer, ids, grammar='root ::= "(" root ")" | "x"', max_tokens=90).strip("()") in ("x", ""))
""")
    assert lines == [
        "True stop", "True", "True", "True", "True", str([True] * 12), "True", "True [True, True, True] ['stop', 'stop', 'stop']",
        "[True, True] ['stop', 'length', 'length']", "True True", "True", "True", "True", "True", "True", "length", "True", "True",
    ]


def test_never_open(printed):
    """Whatever would let through a token that is not allowed is an error."""
    lines = printed("""
error(generate, model, tokenizer, ids, regex="a", grammar='root ::= "a"')
error(generate, model, tokenizer, ids, regex=3)
error(generate, model, tokenizer, ids, json_schema=["a"])
error(generate, model, tokenizer, ids, json_schema='{"type": ')
error(generate, model, tokenizer, ids, regex="[ab]{3}", sampler=lambda logprobs: mx.array([7]))
error(generate, model, tokenizer, ids, regex="[ab]{3}", logits_processors=[lambda t, l: mx.full(l.shape, -float("inf"))])
error(batch_generate, model, tokenizer, [ids, ids], regex="[ab]{3}", sampler=lambda logprobs: mx.array([7, 7]))
error(batch_generate, model, tokenizer, [ids, ids], regex=["a"])
only = constraint_processor(Constraint.regex("[ab]{30}"), tokenizer)
print(len(list(generate_step(ids, model, logits_processors=[only], max_tokens=4))))
error(list, generate_step([5, 6], model, logits_processors=[only], max_tokens=4))
matcher = Constraint.regex("[ab]{2}").matcher(tokenizer)
error(matcher.rollback, 1)
error(matcher.accept, 10**9)
error(matcher.accept, tokenizer.eos_token_id)
error(matcher.mask, 0)
error(matcher.follow, [1], 2)
error(Constraint.json_schema, {}, "none")
error(Constraint.regex, "x{1,1000000}")
error(Constraint.grammar, 'root ::= a\\na ::= b "x" | "y"\\nb ::= a')
""")
    assert lines == [
        "ValueError: give one of json_schema, regex, grammar and constraint",
        "TypeError: regex must be a text, not int",
        "TypeError: json_schema must be a dict or its text, not list",
        lines[3],
        'ValueError: the regular expression: token 1: token 7 ("%") cannot follow the beginning; choose among the tokens of the mask',
        lines[5],
        'ValueError: the regular expression: token 1: token 7 ("%") cannot follow the beginning; choose among the tokens of the mask',
        "ValueError: regex has 1 constraints for 2 prompts",
        "4",
        "ValueError: this constraint has another prompt already; make a processor for each generation",
        "ValueError: the regular expression: cannot take back 1 tokens of 0",
        "ValueError: the regular expression: token 1: token 1000000000 cannot follow the beginning; choose among the tokens of the mask",
        lines[12],
        "ValueError: size must be a positive number of logits, got 0",
        "ValueError: start must be from 0 to 1, got 2",
        "ValueError: whitespace must be 'any' or 'compact', got 'none'",
        "ValueError: the regular expression: it needs more than 400000 states; use smaller counts and lengths, or leave the upper bound out",
        "ValueError: the grammar: b -> a -> b begins with itself, so it never begins; put something before the repetition, "
        'or write it as first ("op" next)*',
    ]
    assert "the JSON schema" in lines[3]
    assert "cannot follow the beginning" in lines[5] and "cannot follow the beginning" in lines[12]


@pytest.mark.parametrize("folder", ["llama_gqa", "llama_mlx_tied_q4", "starcoder2"])
def test_masks_are_what_trying_says(printed, folder):
    lines = printed(f"""
model, tokenizer = load({str(MODELS / folder)!r})
for constraint in (
    Constraint.regex("[a-z]+( [a-z]+)*"), Constraint.json_schema(True), Constraint.json_schema({{"type": "array", "items": {{"type": "string", "maxLength": 6}}}}),
    Constraint.grammar('root ::= "(" root* ")" | "[" root "]" | [^()]'),
):
    mx.random.seed(3)
    matcher = constraint.matcher(tokenizer)
    wrong = 0
    for step in range(12):
        mask = matcher.mask().tolist()
        wrong += sum(matcher.allows(i) != mask[i] for i in range(len(mask)))
        token = mx.random.categorical(mx.where(mx.array(mask), 0.0, -float("inf"))[None]).item()
        if token in tokenizer.eos_token_ids:
            break
        matcher.accept(token)
    print(wrong)
""")
    assert lines == ["0"] * 4


def test_bounds(printed):
    """Too much is an error at once, never a long wait."""
    lines = printed("""
import time


def chain(n):
    return {"$ref": "#/$defs/a0", "$defs": {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(n)}}


def nested(n):
    schema = {"type": "integer"}
    for _ in range(n):
        schema = {"type": "array", "items": schema}
    return schema


start = time.time()
for make, text in (
    (Constraint.regex, "(((a{1000}){1000}){1000}){1000}"), (Constraint.regex, "((a?){300}){300}"), (Constraint.regex, "(" * 300 + ")" * 300),
    (Constraint.regex, "(^a?){1,1000000}"), (Constraint.regex, "a{99999999999}"), (Constraint.json_schema, chain(59)), (Constraint.json_schema, chain(20)),
    (Constraint.json_schema, nested(500)), (Constraint.json_schema, {"type": "string", "maxLength": 10**9}),
    (Constraint.json_schema, {"type": "array", "minItems": 10**7}), (Constraint.json_schema, {"type": "string", "pattern": "a{5}", "minLength": 10**8}),
    (Constraint.grammar, 'root ::= ("a" | ' * 300 + '"b"' + ")" * 300), (Constraint.grammar, 'root ::= "a"' + "*" * 100000),
    (Constraint.grammar, 'root ::= (("a"?){1000}){1000}'),
    (Constraint.grammar, "root ::= " + " ".join(f"r{i}" for i in range(30000)) + "".join(f'\\nr{i} ::= "a"? r{i + 1}?' for i in range(30000)) + '\\nr30000 ::= ""'),
):
    try:
        made = make(text)
        made.matcher(tokenizer).mask()
        print("made", str(text)[:40])
    except ValueError as e:
        pass
print(time.time() - start < 60)
# Deep nesting costs a step no more than its top.
for constraint, opening, closing in ((Constraint.json_schema(True), "[", "]"), (Constraint.grammar('root ::= "[" root? "]"'), "[", "]")):
    matcher = constraint.matcher(tokenizer)
    for text in (opening, closing):
        token = tokenizer.encode(text)[-1]
        for _ in range(3000):
            matcher.mask()
            matcher.accept(token)
    print(matcher.is_finished)
""")
    assert lines == ["True", "True", "True"]
