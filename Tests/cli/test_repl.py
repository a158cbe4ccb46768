"""The interactive prompt, through a pseudo-terminal."""

import os
import time

import pytest

import interrupts
from conftest import LULL, SEED, SEED_OUTPUT
from terminal import Terminal


@pytest.fixture
def start(tmp_path):
    made = []

    def run(**settings):
        env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "INPUTRC": "/dev/null"}
        env.pop("NO_COLOR", None)
        env |= {"XDG_CONFIG_HOME": str(tmp_path / "none"), **settings}
        terminal = Terminal([LULL], env, tmp_path)
        made.append(terminal)
        terminal.expect(">>> ")
        return terminal

    yield run
    for terminal in made:
        terminal.close()


def test_values_and_leaving(start):
    t = start()
    assert t.ask("1 + 1") == "2"
    assert t.ask("x = 5") == ""
    assert t.ask("x") == "5"
    assert t.ask("_ + 1") == "6"
    assert t.ask("None") == ""
    assert t.ask("'text'") == "'text'"
    t.send("\x04")
    assert t.wait() == 0


@pytest.mark.parametrize("word, code", [("exit", 0), ("quit", 0), ("exit()", 0), ("exit(3)", 3)])
def test_leaving_by_word(start, word, code):
    t = start()
    t.line(word)
    assert t.wait() == code


def test_seed(start):
    t = start()
    for line in SEED.splitlines()[:-1]:
        t.ask(line)
    assert t.ask("print(c)") == SEED_OUTPUT
    assert t.ask("array([1, 2]) + 1") == "array([2, 3], dtype=int32)"


def test_definition_over_several_lines(start):
    t = start()
    t.line("def double(x):")
    t.expect("... ")
    t.line("return 2 * x")  # the indentation is filled in
    t.expect("... ")
    t.line("")
    t.expect(">>> ")
    assert t.ask("double(21)") == "42"
    t.line("[1,")
    t.expect("... ")
    t.line("2]")
    assert "[1, 2]" in t.expect(">>> ")


def test_pasted_lines_run_as_one_cell(start):
    t = start()
    t.send("\x1b[200~def f(n):\n    if n:\n        return n\n\n    return -1\n\nf(0)\n\x1b[201~")
    time.sleep(0.2)
    t.line("")
    t.expect("-1")
    t.expect(">>> ")
    assert t.ask("len(In)") == "3"


def test_error_keeps_the_session(start):
    t = start()
    t.ask("x = 1")
    text = t.ask("1 / 0")
    assert "ZeroDivisionError: division by zero" in text and "<cell 2>" in text
    assert "did you mean" in t.ask("pritn(x)")
    assert t.ask("x") == "1"


def test_history(start, tmp_path):
    t = start()
    t.ask("y = 41")
    t.send("\x1b[A")  # arrow up
    t.expect("y = 41")
    t.send("\x7f2\r")
    t.expect(">>> ")
    assert t.ask("y") == "42"
    t.line("for i in range(2):")
    t.expect("... ")
    t.line("print(i)")
    t.expect("... ")
    t.line("")
    t.expect("1\r\n")
    t.expect(">>> ")
    t.send("\x04")
    t.wait()
    entries = (tmp_path / "state" / "lull" / "history").read_text().splitlines()
    assert entries == ["y = 41", "y = 42", "y", r"for i in range(2):\n    print(i)"]
    # The next session has it, a whole cell as one entry.
    t = start()
    t.send("\x1b[A")
    t.expect("print(i)")
    t.send("\r")
    t.expect("0\r\n1\r\n")
    t.expect(">>> ")


def test_completion(start, tmp_path):
    (tmp_path / "some_model.gguf").write_text("")
    t = start()
    t.ask("wonderful_name = 7")
    t.send("wonder\t")
    t.expect("wonderful_name")
    t.send(" + 1\r")
    t.expect("8")
    t.expect(">>> ")
    t.send("mx.expand_d\t")
    t.expect("mx.expand_dims")
    t.interrupt()
    t.expect(">>> ")
    t.send("%timei\t")
    t.expect("%timeit")
    t.interrupt()
    t.expect(">>> ")
    t.send("'some_m\t")
    t.expect("'some_model.gguf")
    t.interrupt()
    t.expect(">>> ")
    t.send("%load some_m\t")
    t.expect("some_model.gguf")
    t.interrupt()
    t.expect(">>> ")
    t.send("softmax(ones(3), ax\t")
    t.expect("axis")
    t.interrupt()
    t.expect(">>> ")
    t.ask("lazy = ones((3, 3)) + 1")
    t.send("lazy.sha\t")
    t.expect("lazy.shape")
    t.send("\r")
    t.expect("(3, 3)")
    t.expect(">>> ")
    assert "pending" in t.ask("lazy?")


def test_interrupt_at_the_prompt(start):
    t = start()
    t.send("half a line")
    t.expect("half a line")
    t.interrupt()
    t.expect("^C")
    t.expect(">>> ")
    assert t.ask("3 + 4") == "7"
    t.line("def f():")
    t.expect("... ")
    t.interrupt()
    t.expect(">>> ")
    assert t.ask("5") == "5"


def test_interrupt_of_a_loop_keeps_the_session(start):
    t = start()
    t.ask("kept = 11")
    for _ in range(3):
        t.line("while True: pass")
        t.expect("... ")
        t.line("")
        time.sleep(0.3)
        begin = time.monotonic()
        t.interrupt()
        t.expect("KeyboardInterrupt")
        assert time.monotonic() - begin < 2
        t.expect(">>> ")
        assert t.ask("kept") == "11"


def test_interrupt_of_a_long_evaluation_keeps_the_session(start):
    t = start()
    t.ask("x = ones((2000, 2000)); mx.eval(x)")
    t.ask("f = lambda y, n: y if n == 0 else f(y @ x * 1e-4, n - 1)")
    t.ask("y = f(x, 300)")
    t.line("y[0, 0].item()")
    time.sleep(1)
    begin = time.monotonic()
    t.interrupt()
    t.expect("KeyboardInterrupt", timeout=20)
    assert time.monotonic() - begin < 3
    t.expect(">>> ")
    assert t.ask("(x[0, 0] + 1).item()") == "2.0"


def test_commands(start):
    t = start()
    t.ask("a = 1")
    assert t.ask("%who") == "a"
    assert "did you mean '%who'?" in t.ask("%woh")
    assert "%time" in t.ask("%help")
    t.line("%%time")
    t.expect("... ")
    t.line("sum(range(10))")
    t.expect("... ")
    t.line("")
    t.expect("time: ")
    t.expect("45")
    t.expect(">>> ")


def test_interrupt_of_input_keeps_the_session(start):
    t = start()
    t.line("name = input('wh' + 'o? ')")
    t.expect("who? ")
    time.sleep(0.3)
    t.interrupt()
    t.expect("KeyboardInterrupt", timeout=3)
    t.expect(">>> ")
    t.line("name = input('wh' + 'o? ')")
    t.expect("who? ")
    t.line("Ada")
    t.expect(">>> ")
    assert t.ask("name") == "'Ada'"


def test_shell_commands(start, tmp_path):
    t = start()
    assert t.ask("!echo hello").endswith("hello")
    assert t.ask("n = 4") == ""
    assert t.ask("lines = !printf 'a\\n%s' {n}") == ""
    assert t.ask("lines") == "['a', '4']"
    assert t.ask("!exit 3") == ""
    assert t.ask("_exit_code") == "3"
    # The command has the terminal: it reads what is typed, and Ctrl-C is for it.
    t.line("!head -1")
    t.expect("!head -1")
    time.sleep(0.5)  # until it has the terminal
    t.send("typed\r")
    assert "typed" in t.expect(">>> ")
    t.line("!sleep 30")
    time.sleep(0.5)
    t.interrupt()
    t.expect(">>> ")
    assert t.ask("n") == "4"


def test_a_command_that_writes_much_may_end_itself(start):
    t = start()
    t.line("x = !trap 'exit 3' INT; while true; do echo y; done")
    time.sleep(0.5)
    t.interrupt()
    t.expect(">>> ")
    assert t.ask("_exit_code") == "3"


def test_startup_file(start, tmp_path):
    (tmp_path / "config" / "lull").mkdir(parents=True)
    (tmp_path / "config" / "lull" / "startup.lull").write_text("answer = 42\nprint('hello')\n1 / 0\n")
    t = start(XDG_CONFIG_HOME=str(tmp_path / "config"))
    assert "hello" in t.all and "startup.lull\", line 3" in t.all and "ZeroDivisionError" in t.all
    assert t.ask("answer") == "42"
    t = start(LULL_STARTUP=str(tmp_path / "none.lull"))
    assert "no startup file" in t.all


def test_long_help_goes_to_the_pager(start, tmp_path):
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\necho PAGED\nhead -2\n")
    pager.chmod(0o755)
    t = start(PAGER=str(pager))
    t.resize(20, 100)
    assert "PAGED" not in t.ask("%pwd?")
    out = t.ask("%help")
    assert "PAGED" in out and out.count("\n") < 6
    assert t.ask("1 + 1") == "2"
    t = start(PAGER="/no/such/pager")
    t.resize(20, 100)
    assert "%time" in t.ask("%help")


def test_completion_of_keys(start):
    t = start()
    t.ask("d = {'first': 1, 'second': {'inner': 2}, 3: 4}")
    t.send("d['fi\t")
    t.expect("d['first']")
    t.send("\r")
    assert t.expect(">>> ").strip() == "1"
    t.send('d["\t\t')
    out = t.expect('second"]')
    assert "first" in out


def test_interrupts_at_random_moments(tmp_path):
    # The session lives and keeps its names; how long the prompt takes to come back is measured by interrupts.py.
    waits, _ = interrupts.run([LULL], count=40, seed=11)
    assert len(waits) == 40
