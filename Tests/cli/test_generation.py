"""Generation: the results of mlx-lm, speculative decoding and batches against plain decoding, stop texts, conversations.

Tests/mlx_lm has programs that run under mlx-lm 0.32.2 (with mlx 0.32.4) as well; what they printed there is beside them:
`python Tests/mlx_lm/sampling.py`, and `python Tests/mlx_lm/generation.py` with the two models of test_equal_to_mlx_lm, less the lines
of eval_ppl's progress.
"""

import os
import re
import time

import pytest
from conftest import LULL, ROOT
from terminal import Terminal

MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
SMALL = ROOT / "Tests" / "Fixtures" / "models" / "llama_gqa"
OTHER = ROOT / "Tests" / "Fixtures" / "models" / "llama_mlx_tied_q4"
PROGRAMS = ROOT / "Tests" / "mlx_lm"

real = pytest.mark.skipif(not MODEL.exists(), reason="the model is not fetched yet")

START = f"""
from mlx_lm import *
from mlx_lm.batch import *
from mlx_lm.chat import *
from mlx_lm.generate import *
from mlx_lm.sample_utils import *
from models.cache import *
import mlx.core as mx
OTHER = {str(OTHER)!r}
model, tokenizer = load({str(SMALL)!r})
ids = [289, 12, 40, 7, 100, 5, 6, 40, 7, 100]


def tokens(steps):
    return [step[0] for step in steps]


def error(f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except Exception as e:
        print(type(e).__name__ + ":", e)


"""
REAL = START + f"model, tokenizer = load({str(MODEL)!r})\n"


@pytest.fixture
def printed(lull, tmp_path):
    def run(source, start=START):
        path = tmp_path / "program.lull"
        path.write_text(start + source)
        result = lull(path, timeout=300)
        assert result.code == 0, result.err
        return result.out.splitlines()

    return run


@pytest.mark.parametrize("name, arguments", [("sampling", []), ("generation", [SMALL, OTHER])])
def test_equal_to_mlx_lm(lull, name, arguments):
    result = lull(PROGRAMS / f"{name}.py", *arguments)
    assert result.code == 0, result.err
    expected = (PROGRAMS / f"{name}.expected").read_text()
    # Numbers with a point are rounded in print: the last digit may differ.
    number = re.compile(r"-?\d+\.\d+")
    assert number.sub("x", result.out).splitlines() == number.sub("x", expected).splitlines()
    found, wanted = [float(x) for x in number.findall(result.out)], [float(x) for x in number.findall(expected)]
    assert found == pytest.approx(wanted, abs=0.0101)


def test_sampler_errors(printed):
    lines = printed("""
error(make_sampler, temp=-1)
error(make_sampler(temp=1, min_p=2), mx.zeros((1, 3)))
error(make_sampler(temp=1, min_p=0.5, min_tokens_to_keep=0), mx.zeros((1, 3)))
error(make_sampler(temp=1, top_k=9), mx.zeros((1, 3)))
error(make_sampler(temp=1, xtc_probability=0.5, xtc_threshold=0.6), mx.zeros((1, 3)))
error(make_sampler(temp=1, xtc_probability=1.5), mx.zeros((1, 3)))
error(make_logits_processors, repetition_penalty=-1.0)
""")
    assert lines == [
        "ValueError: the temperature must not be negative, got -1",
        "ValueError: min_p must be in [0, 1], got 2",
        "ValueError: min_tokens_to_keep must be a positive integer, got 0",
        "ValueError: top_k must be an integer from 1 to 3, got 9",
        "ValueError: xtc_threshold must be in [0, 0.5], got 0.6",
        "ValueError: xtc_probability must be in [0, 1], got 1.5",
        "ValueError: the repetition penalty must not be negative, got -1.0",
    ]


def test_stop_texts(printed):
    lines = printed("""
def run(stop, **kwargs):
    return list(stream_generate(model, tokenizer, ids, max_tokens=24, stop=stop, **kwargs))


whole = generate(model, tokenizer, ids, max_tokens=24)
ok = 0
for start in range(len(whole)):
    for length in (1, 2, 5):
        stop = whole[start : start + length]
        for others in ([], ["not in it"], [stop + "?"]):
            responses = run([stop, *others])
            text = "".join(r.text for r in responses)
            assert text == whole[: whole.find(stop)], (stop, text)
            assert responses[-1].finish_reason == "stop" and all(r.finish_reason is None for r in responses[:-1])
            ok += 1
print(ok > 100)
# Beginnings of a stop text are held back, and shown when something else follows, also at the end.
for stop in (whole[3:6] + "?", whole[-1] + "?", "?" + whole):
    responses = run([stop])
    print("".join(r.text for r in responses) == whole, responses[-1].finish_reason)
print(generate(model, tokenizer, ids, max_tokens=24, stop=whole[2:4]) == whole[: whole.find(whole[2:4])])
print(generate(model, tokenizer, ids, max_tokens=24, stop=[whole[9:12]], prompt_lookup=2) == whole[:9])
error(generate, model, tokenizer, ids, stop=[""])
error(generate, model, tokenizer, ids, stop=[3])
""")
    assert lines == [
        "True", "True length", "True length", "True length", "True", "True",
        "ValueError: stop texts must be strings with at least one character, got ''",
        "ValueError: stop texts must be strings with at least one character, got 3",
    ]


def test_seed(printed):
    lines = printed("""
def run(seed):
    return generate(model, tokenizer, ids, max_tokens=12, sampler=make_sampler(temp=1.0), seed=seed)


print(run(3) == run(3), run(3) == run(4))
print([generate(model, tokenizer, p, max_tokens=6) for p in (mx.array(ids), tuple(ids))] == [
    generate(model, tokenizer, ids, max_tokens=6)] * 2)
""")
    assert lines == ["True False", "True"]


def test_errors_of_generation(printed):
    lines = printed(f"""
other, _ = load(OTHER)
model.args.max_position_embeddings = 8
error(generate, model, tokenizer, ids)
cache = make_prompt_cache(model)
print(len(tokens(generate_step(ids[:6], model, max_tokens=2, prompt_cache=cache))))
error(generate, model, tokenizer, [1], prompt_cache=cache)
print(len(generate(model, tokenizer, ids, max_tokens=2, max_kv_size=8)) > 0)
error(batch_generate, model, tokenizer, [[1], ids])
model.args.max_position_embeddings = 2048
error(generate, model, tokenizer, [])
error(generate, model, tokenizer, ids, max_tokens=0)
error(generate, model, tokenizer, ids, max_tokens=2.5)
error(generate, model, tokenizer, ids, prefill_step_size=0)
error(generate, model, tokenizer, ids, prompt_cache=make_prompt_cache(model)[:1])
cache = make_prompt_cache(other)
generate(other, tokenizer, ids, max_tokens=1, prompt_cache=cache)
error(generate, model, tokenizer, ids, prompt_cache=cache)
error(generate, model, tokenizer, ids, draft_model=other, prompt_lookup=2)
error(generate, model, tokenizer, ids, draft_model=other, num_draft_tokens=0)
error(generate, model, tokenizer, ids, draft_model=other, prompt_cache=make_prompt_cache(model))
error(generate, model, tokenizer, ids, draft_model=other, max_kv_size=8)
error(generate, model, tokenizer, ids, prompt_lookup=2, max_ngram_size=1)
error(generate, model, tokenizer, ids, no_such=1)
for prompt in (5, ["a"], [1.5], [400], [3, -1], mx.zeros((1, 3))):
    error(generate, model, tokenizer, prompt)
error(generate, model, None, "text")
error(generate, model, tokenizer, ids, stop=5)
error(generate, model, tokenizer, ids, max_kv_size=4)
error(batch_generate, model, tokenizer, [5])
""")
    assert lines == [
        "ValueError: the prompt has 10 tokens, but the model's context holds 8; shorten the prompt, or keep a window of it "
        "with max_kv_size=8",
        "2",
        "ValueError: the prompt has 1 tokens and the prompt cache 8, but the model's context holds 8; shorten the prompt, or "
        "keep a window of it with max_kv_size=8",
        "True",
        "ValueError: the prompt has 10 tokens, but the model's context holds 8; shorten the prompt, or keep a window of it "
        "with max_kv_size=8",
        "ValueError: the prompt has no tokens",
        "ValueError: max_tokens must be a positive integer, or -1 for no limit, got 0",
        "ValueError: max_tokens must be a positive integer, or -1 for no limit, got 2.5",
        "ValueError: prefill_step_size must be a positive integer, got 0",
        "ValueError: the prompt cache has 1 layers, but the model has 2: it belongs to another model",
        "ValueError: the prompt cache has head_dim 32, but the model has 16: it belongs to another model",
        "ValueError: give a draft_model or prompt_lookup, not both",
        "ValueError: the number of draft tokens must be a positive integer, got 0",
        "ValueError: the prompt cache has 2 layers, but the model has 2 and the draft model 2; join make_prompt_cache(model) "
        "and make_prompt_cache(draft_model)",
        "ValueError: speculative decoding takes back tokens, which a window of max_kv_size tokens cannot",
        "ValueError: max_ngram_size must be an integer of at least 2, got 1",
        "TypeError: generate_step() got an unexpected keyword argument 'no_such'",
        "TypeError: expected a prompt as a string or token ids, not int",
        "TypeError: token ids are integers, got 'a'",
        "TypeError: token ids are integers, got 1.5",
        "ValueError: token id 400 is outside the model's vocabulary of 320 tokens",
        "ValueError: token id -1 is outside the model's vocabulary of 320 tokens",
        "ValueError: expected the prompt's ids as one row, got shape (1, 3)",
        "TypeError: a text needs the model's tokenizer; without one give token ids",
        "TypeError: stop must be a list of texts, not int",
        "ValueError: max_kv_size must be an integer above 4, as the first 4 tokens are kept; got 4",
        "TypeError: expected a prompt as a string or token ids, not int",
    ]


def test_speculative_decoding_is_lossless(printed):
    lines = printed(f"""
draft, _ = load(OTHER)
for processors in (None, make_logits_processors(repetition_penalty=1.3), make_logits_processors(frequency_penalty=2.0)):
    for prompt in (ids, ids[:1], ids[:2], ids * 7):
        for n in (1, 2, 7, 20):
            plain = tokens(generate_step(prompt, model, max_tokens=n, logits_processors=processors))
            for k in (1, 3, 6):
                for helper in (draft, model):
                    steps = list(speculative_generate_step(
                        prompt, model, helper, num_draft_tokens=k, max_tokens=n, logits_processors=processors,
                        prefill_step_size=16))
                    assert tokens(steps) == plain, (prompt, n, k)
                    if helper is model and k < n:
                        assert sum(step[2] for step in steps) >= n * k // (k + 1) - 1
                steps = list(prompt_lookup_generate_step(
                    prompt, model, num_draft_tokens=k, max_tokens=n, logits_processors=processors))
                assert tokens(steps) == plain, (prompt, n, k)
# Log-probabilities are those of the place, and endless generation can be left.
plain = list(generate_step(ids, model, max_tokens=9))
steps = list(speculative_generate_step(ids, model, model, max_tokens=9))
print(all(mx.allclose(a[1], b[1], atol=1e-4).item() for a, b in zip(plain, steps)))
endless = speculative_generate_step(ids, model, model, max_tokens=-1)
print([next(endless)[0] for _ in range(9)] == tokens(plain))
calls = []
progress = lambda *a: calls.append(a)
generate(model, tokenizer, ids, max_tokens=3, prompt_lookup=2, prefill_step_size=4, prompt_progress_callback=progress)
print(calls)
# What was refused or not taken is forgotten: a cache goes on as after plain decoding.
for taken in range(1, 9):
    cache = make_prompt_cache(model) + make_prompt_cache(model)
    steps = speculative_generate_step(ids, model, model, num_draft_tokens=3, max_tokens=-1, prompt_cache=cache)
    given = [next(steps)[0] for _ in range(taken)]
    steps.close()
    known = ids + given
    held = cache[0].offset
    assert len(known) - 1 <= held <= len(known) and all(c.offset <= held for c in cache), (taken, [c.offset for c in cache])
    keys = make_prompt_cache(model)
    model(mx.array([known[:held]]), cache=keys)
    assert mx.allclose(keys[1].state[0], cache[1].state[0], atol=1e-4).item()
print("done")
""")
    assert lines == ["True", "True", "[(0, 10), (4, 10), (8, 10), (9, 10), (10, 10)]", "done"]


@real
def test_prompt_lookup_with_a_real_model(printed):
    lines = printed(
        """
code = "def area(width, height):\\n    return width * height\\n\\ndef size(width):\\n    return 2 * width\\n"
messages = [{"role": "user", "content": "Repeat this code:\\n" + code}]
ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
plain = [r.token for r in stream_generate(model, tokenizer, ids, max_tokens=40)]
responses = list(stream_generate(model, tokenizer, ids, max_tokens=40, prompt_lookup=3))
print([r.token for r in responses] == plain, sum(r.from_draft for r in responses) >= 10)
""",
        REAL,
    )
    assert lines == ["True True"]


def test_batches_equal_one_by_one(printed):
    lines = printed("""
prompts = [ids, ids[:1], ids[3:5], ids[2:9], ids * 30, [7]]
for n in (1, 2, 9):
    one = [tokens(generate_step(p, model, max_tokens=n)) for p in prompts]
    for size in (1, 2, 4, 32):
        for step in (3, 2048):
            response = batch_generate(
                model, tokenizer, prompts, max_tokens=n, return_token_ids=True, completion_batch_size=size,
                prefill_step_size=step)
            assert response.token_ids == one, (n, size, step)
            assert response.texts == [tokenizer.decode(t) for t in one]
processors = make_logits_processors(repetition_penalty=1.4)
one = [tokens(generate_step(p, model, max_tokens=9, logits_processors=processors)) for p in prompts]
response = batch_generate(model, tokenizer, prompts, 9, logits_processors=processors, return_token_ids=True)
print(response.token_ids == one)
# More than the room that is made at once, and rows that end at other times.
limits = [300, 2, 300, 5, 20, 260]
one = [tokens(generate_step(p, model, max_tokens=n)) for p, n in zip(prompts, limits)]
response = batch_generate(model, tokenizer, prompts, limits, return_token_ids=True)
print([a == b[: len(a)] and (len(a) == len(b) or b[len(a)] in tokenizer.eos_token_ids) for a, b in zip(response.token_ids, one)])
print(response.stats.prompt_tokens == sum(len(p) for p in prompts), response.stats.generation_tps > 0)
print(batch_generate(model, tokenizer, []).texts, batch_generate(model, tokenizer, ["hello"], 2).texts == [
    generate(model, tokenizer, "hello", max_tokens=2)])
a = batch_generate(model, tokenizer, prompts, 5, sampler=make_sampler(temp=1.0), seed=1).texts
print(a == batch_generate(model, tokenizer, prompts, 5, sampler=make_sampler(temp=1.0), seed=1).texts)
error(batch_generate, model, tokenizer, "hello")
error(batch_generate, model, tokenizer, ["hello"], [1, 2])
error(batch_generate, model, tokenizer, ["hello", ""], 0)
error(batch_generate, model, tokenizer, [[1], []])
batch_generate(model, tokenizer, prompts, 2, verbose=True)
""")
    assert lines[:5] == ["True", str([True] * 6), "True True", "[] True", "True"]
    assert lines[5:9] == [
        "TypeError: expected a list of prompts, not one string; use generate for one",
        "ValueError: max_tokens has 2 numbers for 1 prompts",
        "ValueError: max_tokens must be a positive integer, got 0",
        "ValueError: the prompt has no tokens",
    ]
    assert [line.split(":")[0].strip() for line in lines[-3:]] == [
        f"[batch_generate] {part}" for part in ("Prompt", "Generation", "Peak memory")
    ]


def test_batches_go_on_from_caches(printed):
    lines = printed("""
prompts = [ids, ids[:1], ids[3:5], ids * 3]
first = batch_generate(model, tokenizer, prompts, [5, 1, 3, 4], return_prompt_caches=True, return_token_ids=True)
whole = [p + t for p, t in zip(prompts, first.token_ids)]
print([c[0].offset for c in first.caches] == [len(w) - 1 for w in whole])
# Each goes on with new tokens; a row without a cache among them.
wanted = [w + [9, 8] for w in whole] + [ids[:4]]
rests = [reuse_prompt_cache(c, w, p) for c, w, p in zip(first.caches, whole, wanted)] + [ids[:4]]
print([len(r) for r in rests])
caches = first.caches + [None]
one = [tokens(generate_step(p, model, max_tokens=6)) for p in wanted]
for size in (1, 2, 8):
    again = batch_generate(
        model, tokenizer, rests, 6, prompt_caches=caches, return_token_ids=True, completion_batch_size=size,
        prefill_step_size=2)
    assert again.token_ids == one, size
print([c[0].offset for c in first.caches] == [len(w) - 1 for w in whole])
print(tokens(generate_step(rests[0], model, max_tokens=6, prompt_cache=first.caches[0])) == one[0])
error(batch_generate, model, tokenizer, prompts, prompt_caches=[None])
error(batch_generate, model, tokenizer, prompts[:1], prompt_caches=[make_prompt_cache(model, 8)])
error(batch_generate, model, tokenizer, prompts[:1], prompt_caches=[make_prompt_cache(model)[:1]])
""")
    assert lines == [
        "True", "[3, 3, 3, 3, 4]", "True", "True",
        "ValueError: there are 1 prompt caches for 4 prompts",
        "ValueError: only prompt caches of plain KVCaches can be in a batch; use stream_generate",
        "ValueError: the prompt cache has 1 layers, but the model has 2: it belongs to another model",
    ]


@real
def test_batch_with_a_real_model(printed):
    lines = printed(
        """
prompts = ["The capital of France is", "Once upon a time there was a little", "1, 2, 3, 4, 5,", "The opposite of hot is"]
one = [generate(model, tokenizer, p, max_tokens=12) for p in prompts]
print(batch_generate(model, tokenizer, prompts, max_tokens=12).texts == one)
error(generate, model, tokenizer, [5] * 9000)
""",
        REAL,
    )
    assert lines == [
        "True",
        "ValueError: the prompt has 9000 tokens, but the model's context holds 8192; shorten the prompt, or keep a window of it "
        "with max_kv_size=8192",
    ]


def test_perplexity_and_embeddings(printed):
    lines = printed("""
from mlx_lm.embeddings import embed
from mlx_lm.perplexity import eval_ppl, perplexity
mx.random.seed(7)
data = mx.random.randint(0, 320, (6, 40))
print(round(eval_ppl(model, data, batch_size=4)[0], 1) == round(eval_ppl(model, data)[0], 1))
for step in (1, 16, 39, 128):
    ppl = perplexity(model, None, data.reshape(-1), sequence_length=40, step_size=step)
    assert abs(ppl / eval_ppl(model, data)[0] - 1) < 1e-4, (step, ppl)
error(perplexity, model, tokenizer, [1])
error(perplexity, model, tokenizer, ids, sequence_length=1)
# The numbers of mlx-lm's model: the mean of the hidden states, divided by its length.
vector = embed(model, tokenizer, [289, 12, 40, 7, 100, 5, 6])
print([round(x, 3) for x in vector[:6].tolist()], round(mx.linalg.norm(vector).item(), 5))
vectors = embed(model, tokenizer, ["hello", "a cat"])
print(vectors.shape, mx.allclose(vectors[1], embed(model, tokenizer, "a cat")).item())
error(embed, model, tokenizer, [])
error(embed, model, tokenizer, "")
""")
    assert lines == [
        "True",
        "ValueError: perplexity needs a text of at least 2 tokens, got 1",
        "ValueError: sequence_length must be an integer of at least 2, got 1",
        "[0.085, 0.021, -0.033, -0.148, -0.073, -0.04] 1.0",
        "(2, 64) True",
        "ValueError: there are no texts to embed",
        "ValueError: the prompt has no tokens",
    ]


def test_a_common_prefix_is_reused(printed):
    lines = printed("""
cache = make_prompt_cache(model)
held = ids + tokens(generate_step(ids, model, max_tokens=5, prompt_cache=cache))
print(cache[0].offset == len(held))
for prompt in (held + [3, 4], ids[:6] + [50, 60], [1, 2, 3], ids[:1] + [1, 2], ids, ids):
    rest = reuse_prompt_cache(cache, held, prompt)
    given = tokens(generate_step(rest, model, max_tokens=4, prompt_cache=cache))
    print(len(rest), given == tokens(generate_step(prompt, model, max_tokens=4)))
    held = prompt + given
""")
    assert lines == ["True", "2 True", "2 True", "3 True", "3 True", "9 True", "1 True"]


def test_conversations(printed):
    lines = printed(f"""
def fresh(chat):
    "The reply without a cache to the conversation up to the last user's message."
    prompt = tokenizer.apply_chat_template(chat.messages[:-1], add_generation_prompt=True)
    return generate(model, tokenizer, prompt, max_tokens=6)


chat = Chat(model, tokenizer, system="be good")
for text in ("hello", "and now", "then"):
    print(chat.say(text, max_tokens=6) == fresh(chat))
turns = len(chat.messages)
chat.save("talk.safetensors")
later = Chat(model, tokenizer)
later.load("talk.safetensors")
print(later.messages == chat.messages, later.say("more", max_tokens=6) == chat.say("more", max_tokens=6))
# A reply that is left early, and a turn that fails.
for response in chat.stream("a long one", max_tokens=50):
    if response.generation_tokens == 3:
        break
print(len(chat.messages), chat.say("go on", max_tokens=6) == fresh(chat))
before = list(chat.messages)
error(chat.say, "x", max_tokens=0)
print(chat.messages == before, chat.say("go on", max_tokens=6) == fresh(chat))
for settings in (dict(prompt_lookup=3), dict(stop=["e"]), dict(prefill_step_size=2)):
    reply = chat.say("once more", max_tokens=6, **settings)
    assert reply == fresh(chat).split("e")[0] if "stop" in settings else reply == fresh(chat), settings
chat.reset()
print(str(chat.messages), chat.say("hello", max_tokens=6) == fresh(chat))
# A window of the conversation.
chat = Chat(model, tokenizer, max_kv_size=16)
print([len(chat.say(text, max_tokens=6)) > 0 for text in ("hello", "and now", "then")])
class Plain:
    chat_template = None


error(Chat, model, Plain())
error(later.load, "missing.safetensors")
save_prompt_cache("other.safetensors", chat.cache)
error(later.load, "other.safetensors")
save_prompt_cache("short.safetensors", later.cache[:1], {{"messages": "[]", "tokens": "[]"}})
error(later.load, "short.safetensors")
""")
    assert lines[:3] == ["True"] * 3
    assert lines[3] == "True True"
    assert lines[4] == "11 True"
    assert lines[5] == "ValueError: max_tokens must be a positive integer, or -1 for no limit, got 0"
    assert lines[6] == "True True"
    assert lines[7] == "[{'role': 'system', 'content': 'be good'}] True"
    assert lines[8] == "[True, True, True]"
    assert lines[9] == "ValueError: the model has no chat template, so it holds no conversations; use generate"
    assert "missing.safetensors" in lines[10]
    assert lines[11] == "ValueError: other.safetensors holds a prompt cache, but no conversation"
    assert lines[12] == "ValueError: short.safetensors has a cache of 1 layers, but the model has 2: it is another model's"


@real
def test_chat_at_the_terminal(tmp_path):
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "INPUTRC": "/dev/null"}
    t = Terminal([LULL], env, tmp_path)
    try:
        t.expect(">>> ")
        t.line(f"model, tokenizer = load({str(MODEL)!r})")
        t.expect(">>> ")
        t.line("from mlx_lm.chat import chat")
        t.expect(">>> ")
        t.line("talk = chat(model, tokenizer, max_tokens=4000)")
        t.expect("breaks a reply off.")
        t.expect(">> ")
        t.line("Write a very long story about a cat.")
        time.sleep(0.7)
        t.interrupt()
        t.expect(">> ", timeout=5)
        t.line("What is the capital of France?")
        t.expect("Paris", timeout=30)
        t.expect(">> ", timeout=30)
        t.line("q")
        t.expect(">>> ")
        assert t.ask("len(talk.messages)") == "4"
    finally:
        t.close()


def test_kinds_of_caches(printed):
    lines = printed("""
plain = tokens(generate_step(ids, model, max_tokens=20))
# A window: as the whole cache until it is full; speculation ends where nothing can be taken back.
for size in (8, 16, 64):
    window = tokens(generate_step(ids, model, max_tokens=20, max_kv_size=size))
    print(len(window), window == plain)
    for k in (1, 3):
        cache = make_prompt_cache(model, max_kv_size=size)
        given = tokens(prompt_lookup_generate_step(ids, model, num_draft_tokens=k, max_tokens=20, prompt_cache=cache))
        cache = make_prompt_cache(model, max_kv_size=size) + make_prompt_cache(model, max_kv_size=size)
        steps = list(speculative_generate_step(ids, model, model, num_draft_tokens=k, max_tokens=20, prompt_cache=cache))
        print(given == window, tokens(steps) == window, any(step[2] for step in steps))
full = make_prompt_cache(model, max_kv_size=8)
print(len(tokens(generate_step(ids, model, max_tokens=4, prompt_cache=full))))
error(generate, model, tokenizer, ids, prompt_cache=full, prompt_lookup=2)
print(reuse_prompt_cache(full, ids, ids[:5]), reuse_prompt_cache(full, ids + [1, 2, 3, 4], ids + [1, 2, 3, 4, 9]))
# A model that makes its caches itself: they are bounded, too, and batches go one after another.
model.make_cache = lambda: [KVCache(), RotatingKVCache(max_size=64)]
print(tokens(generate_step(ids, model, max_tokens=20, max_kv_size=8)) == tokens(
    generate_step(ids, model, max_tokens=20, prompt_cache=[RotatingKVCache(max_size=8, keep=4), RotatingKVCache(max_size=64)])))
response = batch_generate(model, tokenizer, [ids, ids[:3]], [9, 4], return_token_ids=True, return_logprobs=True)
print(response.token_ids == [tokens(generate_step(ids, model, max_tokens=9)), tokens(generate_step(ids[:3], model, max_tokens=4))])
print([len(row) for row in response.logprobs], response.stats.generation_tokens)
error(batch_generate, model, tokenizer, [ids], return_prompt_caches=True)
# Codes instead of numbers, from the first token or from a later one.
model, _ = load(OTHER)
plain = tokens(generate_step(ids, model, max_tokens=20))
for start in (0, 5, 12, 20):
    cache = make_prompt_cache(model)
    settings = dict(kv_bits=8, kv_group_size=32, quantized_kv_start=start)
    given = tokens(generate_step(ids, model, max_tokens=6, prompt_cache=cache, **settings))
    print(type(cache[0]).__name__, given == plain[:6], cache[0].offset)
given = tokens(prompt_lookup_generate_step(ids, model, max_tokens=6, kv_bits=8, kv_group_size=32, quantized_kv_start=0))
print(given == plain[:6])
""")
    assert lines[:9] == [
        "20 False", "True True False", "True True False",
        "20 False", "True True True", "True True True",
        "20 True", "True True True", "True True True",
    ]
    assert lines[9:12] == [
        "4",
        "ValueError: speculative decoding takes back tokens, which the cache (RotatingKVCache) cannot",
        "None [9]",
    ]
    assert lines[12:16] == [
        "True", "True", "[9, 4] 13",
        "ValueError: only prompt caches of plain KVCaches can be in a batch; use stream_generate",
    ]
    assert lines[16:] == ["QuantizedKVCache True 16"] * 3 + ["KVCache True 16", "True"]
