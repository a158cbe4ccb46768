"""lull generate, chat and convert: options, pipes, terminals, interrupts; and %chat and the options of %generate in cells."""

import os
import re
import time

import pytest
from conftest import LULL, ROOT
from terminal import Terminal

SMALL = ROOT / "Tests" / "Fixtures" / "models" / "llama_gqa"
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
real = pytest.mark.skipif(not MODEL.exists(), reason="the model is not fetched yet")


def terminal(tmp_path, *arguments, **env):
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "INPUTRC": "/dev/null", **env}
    return Terminal([LULL, *map(str, arguments)], env, tmp_path)


def generate(lull, *options, model=SMALL, **kwargs):
    return lull("generate", "--model", model, *options, **kwargs)


def test_text_and_figures(lull):
    result = generate(lull, "--prompt", "hello", "--max-tokens", "5")
    assert result.code == 0 and result.err == ""
    lines = result.out.split("==========\n")
    assert lines[0] == "" and len(lines) == 3
    assert re.fullmatch(
        r"Prompt: \d+ tokens, \d+\.\d{3} tokens-per-sec\nGeneration: \d tokens, \d+\.\d{3} tokens-per-sec\nPeak memory: \d+\.\d{3} GB\n",
        lines[2],
    )
    for quiet in (["--verbose", "False"], ["--verbose=F"], ["--no-verbose"]):
        text = generate(lull, "--prompt", "hello", "-m", "5", *quiet)
        assert text.out == lines[1] and text.err == ""


def test_options_mean_what_the_function_means(lull, tmp_path):
    cases = {
        "--temp 0.9 --top-p 0.8 --seed 3": "sampler=make_sampler(temp=0.9, top_p=0.8), seed=3",
        "--temp 1 --top-k 5 --min-p 0.1 --seed 4": "sampler=make_sampler(temp=1.0, min_p=0.1, top_k=5), seed=4",
        "--max-kv-size 8": "max_kv_size=8",
        "--kv-bits 8 --kv-group-size 64 --quantized-kv-start 0": None,
        "--prompt-lookup 2": "prompt_lookup=2",
        "--draft-model DRAFT --num-draft-tokens 2": "draft_model=load(DRAFT)[0], num_draft_tokens=2",
        "--stop he --stop ll": "stop=['he', 'll']",
        "--repetition-penalty 1.5": "logits_processors=make_logits_processors(repetition_penalty=1.5)",
        "--prefill-step-size 2": "prefill_step_size=2",
    }
    program = [
        "from mlx_lm import *", "from mlx_lm.sample_utils import *", f"DRAFT = {str(SMALL)!r}", f"model, tokenizer = load({str(SMALL)!r})",
    ]
    for options, keywords in cases.items():
        if keywords is not None:
            program.append(f"print(generate(model, tokenizer, 'one two three', max_tokens=8, {keywords}).encode())")
    expected = lull("-c", "\n".join(program)).out.splitlines()
    texts = []
    for options, keywords in cases.items():
        words = options.replace("DRAFT", str(SMALL)).split()
        result = generate(lull, "-p", "one two three", "-m", "8", "--ignore-chat-template", "--no-verbose", *words)
        if keywords is None:
            assert result.code == 1 and "group" in result.err  # heads of 16 have no groups of 64
        else:
            assert result.code == 0, result.err
            texts.append(repr(result.out[:-1].encode()))
    assert texts == expected


def test_the_prompt_comes_from_a_pipe(lull):
    direct = generate(lull, "--prompt", "hello", "-m", "6", "--no-verbose")
    piped = generate(lull, "--prompt", "-", "-m", "6", "--no-verbose", stdin="hello\n")
    assert direct.out == piped.out and piped.code == 0
    # As mlx-lm does, \n in the option's text is a line break.
    assert generate(lull, "--prompt", "a\\nb", "-m", "6", "--no-verbose").out == generate(lull, "--prompt", "a\nb", "-m", "6", "--no-verbose").out


def test_system_prompt_and_template(lull):
    def tokens(*options):
        return int(re.search(r"Prompt: (\d+)", generate(lull, "--prompt", "hello", "-m", "1", *options).out)[1])

    raw, plain, system = tokens("--ignore-chat-template"), tokens(), tokens("--system-prompt", "Be brief.")
    assert raw < plain < system
    assert tokens("--prefill-response", "Sure") > plain
    assert tokens("--chat-template-config", '{"add_generation_prompt": false, "other": [1]}') < plain
    for config, message in (("{", "chat_template_config is no valid JSON"), ("[1]", "must be an object of names and values, not [1]")):
        assert message in generate(lull, "--prompt", "x", "--chat-template-config", config).err
    wrong = generate(lull, "--prompt", "x", "--system-prompt", "y", "--ignore-chat-template")
    assert wrong.code == 1 and "a system message needs the chat template, and the prompt is raw" in wrong.err


def test_prompt_cache_file(lull):
    """The text goes on from the cache as from the whole text; with a template, only the question and what is behind it is read."""
    code = f"""
from mlx_lm import load
from mlx_lm.generate import generate_step
from models.cache import make_prompt_cache, save_prompt_cache
model, tokenizer = load({str(SMALL)!r})
start = tokenizer.apply_chat_template([{{'role': 'user', 'content': '<query>'}}], tokenize=False, add_generation_prompt=True)
for name, text in (("raw", "one two"), ("chat", start[: start.index('<query>')])):
    cache = make_prompt_cache(model)
    ids = tokenizer.encode(text, False)
    for _ in generate_step(ids, model, max_tokens=1, prompt_cache=cache):
        pass
    for c in cache:
        c.trim(c.offset - len(ids))
    save_prompt_cache(name + ".safetensors", cache)
"""
    assert lull("-c", code).code == 0

    def run(*options):
        result = generate(lull, "-m", "6", *options)
        assert result.code == 0, result.err
        text, figures = result.out.split("==========\n")[1:]
        return text, int(re.search(r"Prompt: (\d+)", figures)[1])

    whole = run("--prompt", "one two three", "--raw")
    rest = run("--prompt", " three", "--raw", "--prompt-cache-file", "raw.safetensors")
    assert rest[0] == whole[0] and rest[1] < whole[1]
    whole = run("--prompt", "three")
    rest = run("--prompt", "three", "--prompt-cache-file", "chat.safetensors")
    assert rest[0] == whole[0] and rest[1] < whole[1]
    missing = generate(lull, "--prompt", "x", "--prompt-cache-file", "nothing")
    assert missing.code == 1 and "nothing" in missing.err and missing.err.count("\n") == 1


@pytest.mark.parametrize("words, message", [
    (["--promt", "x"], "lull generate: unknown option '--promt'; did you mean '--prompt'?"),
    (["--prompt", "x", "--max-token", "3"], "lull generate: unknown option '--max-token'; did you mean '--max-tokens'?"),
    (["--prompt", "x", "--seed", "one"], "lull generate: --seed needs an integer, not 'one'"),
    (["--prompt", "x", "--temp", "hot"], "lull generate: --temp needs a number, not 'hot'"),
    (["--prompt", "x", "--max-tokens", "1.5"], "lull generate: --max-tokens needs an integer, not '1.5'"),
    (["--prompt", "x", "--seed", "1", "--seed", "2"], "lull generate: --seed is given twice"),
    (["--prompt", "x", "--seed"], "lull generate: --seed needs a value"),
    (["--prompt", "x", "--verbose", "--raw=maybe"], "lull generate: --raw is True or False, not 'maybe'"),
    (["--prompt", "x", "more"], "lull generate: 'more' is one argument too many"),
    ([], "lull generate: --prompt is missing: the text to answer, or to continue; - reads standard input (command line)"),
])
def test_wrong_usage(lull, words, message):
    result = generate(lull, *words)
    assert result.code == 2 and result.out == ""
    assert result.err == f"{message}\nTry 'lull generate --help'.\n"


def test_wrong_values(lull):
    result = generate(lull, "--prompt", "x", "--temp", "-1")
    assert result.code == 1 and result.err == "lull generate: the temperature must not be negative, got -1\n"
    result = generate(lull, "--prompt", "x", "-m", "0")
    assert result.code == 1 and result.err == "lull generate: max_tokens must be a positive integer, got 0\n"
    assert lull("generat").err.startswith("lull: no file or command 'generat'; did you mean 'generate'?")


def test_help(lull):
    for name in ("generate", "chat", "convert"):
        result = lull(name, "--help")
        assert result.code == 0 and result.out.startswith(f"usage: lull {name} --model ") and result.err == ""
        assert f"%{name}" in lull("help", name).out
    text = lull("generate", "--help").out
    for option in (
        "--model --prompt --max-tokens --temp --top-p --min-p --top-k --seed --system-prompt --ignore-chat-template --draft-model "
        "--num-draft-tokens --max-kv-size --kv-bits --kv-group-size --prompt-cache-file --stop --xtc-probability --adapter-path"
    ).split():
        assert f" {option} " in text, option
    assert "(default: 256)" in text


def test_progress_is_for_terminals(lull, tmp_path):
    for env, green in (({}, True), ({"NO_COLOR": "1"}, False)):
        t = terminal(tmp_path, "generate", "--model", SMALL, "--prompt", "one two " * 40, "-m", "2", "--prefill-step-size", "8", **env)
        raw = []
        read = os.read
        try:
            end = time.monotonic() + 15
            while t.process.poll() is None and time.monotonic() < end:
                try:
                    raw.append(read(t.leader, 65536))
                except OSError:
                    break
            text = b"".join(raw).decode()
            assert t.wait() == 0
        finally:
            t.close()
        assert "Loading llama_gqa" in text and "Prompt " in text and "\r\033[K" in text
        assert ("\033[32m" in text) == green
        assert "Peak memory" in text
    # A pipe sees none of it.
    assert generate(lull, "--prompt", "one two " * 40, "-m", "2", "--prefill-step-size", "8").err == ""


def test_chat_through_a_pipe(lull):
    result = lull("chat", "--model", SMALL, "-m", "3", "--temp", "1", "--seed", "2", stdin="hello\nr\nhello\nq\n")
    assert result.code == 0 and result.err == ""
    assert result.out.count(">> ") == 4
    assert lull("chat", "--model", SMALL, "-m", "3", stdin="").code == 0
    assert lull("chat").code == 2


@real
def test_interrupts(lull, tmp_path):
    t = terminal(tmp_path, "generate", "--model", MODEL, "--prompt", "one two three four five six seven one two three", "-m", 3000, "--raw")
    try:
        t.expect("==========")
        time.sleep(0.5)
        t.interrupt()
        t.expect("Generation: ", timeout=3)
        t.expect("Interrupted")
        assert t.wait() == 130
    finally:
        t.close()
    t = terminal(tmp_path, "chat", "--model", MODEL, "--max-tokens", 3000)
    try:
        t.expect(">> ")
        t.line("Tell me a very long story about a fox and a hen.")
        t.expect(" the ", timeout=20)
        t.interrupt()
        t.expect(">> ", timeout=3)
        t.interrupt()
        t.expect(">> ", timeout=3)
        t.line("Say yes.")
        t.expect(">> ", timeout=30)
        t.line("q")
        assert t.wait() == 0
    finally:
        t.close()


def test_in_cells(lull, tmp_path):
    path = tmp_path / "cells.lull"
    cells = [
        f"model = %load {SMALL}",
        "a = %generate model one two three --raw --max-tokens 8 --no-verbose",
        "b = generate(model, 'one two three', raw=True, max_tokens=8, verbose=False)\na == b",
        "stop = [a[2:4]]\nc = %generate model one two three --raw --max-tokens 8 --no-verbose --stop $stop\nc == a[: a.find(a[2:4])]",
        "d = %generate model one two three --raw --max-tokens 8 --no-verbose --temp 1 --seed 7 --kv-bits 8 --kv-group-size 32 --prompt-lookup 0",
        f"%convert {SMALL} out.gguf --gguf-type Q8_0\ngenerate('out.gguf', 'x', max_tokens=1, verbose=False) is not None",
        "%generate model x --max-tokns 3",
    ]
    path.write_text("".join(f"# %%\n{c}\n" for c in cells))
    result = lull("run", path, "--allow-errors")
    assert result.out.splitlines() == ["True", "True", "True"], (result.out, result.err)
    assert "did you mean '--max-tokens'?" in result.err


@real
def test_a_time_limit_ends_a_generation_and_the_run(lull, tmp_path):
    path = tmp_path / "cells.lull"
    cells = [
        f"model = %load {MODEL}",
        "%generate model one two three four five six seven one two three four --raw --max-tokens 3000",
        "print('next')",
    ]
    path.write_text("".join(f"# %%\n{c}\n" for c in cells))
    result = lull("run", path, "--timeout", "1")
    assert result.code == 1 and "CellTimeoutError: the cell did not end within" in result.err
    assert "Generation: " in result.out and "next" not in result.out
