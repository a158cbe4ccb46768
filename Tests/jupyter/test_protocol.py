"""Every message of the protocol, with jupyter_client as the front end."""

import base64
import json
import os
import signal
import time

import pytest
from conftest import ROOT, WAIT, start, stop


@pytest.fixture
def run(shared):
    return shared.run


# Execution


def test_result_counts_and_history_values(run):
    first = run("6 * 7")
    assert first.reply["status"] == "ok"
    assert first.types == ["execute_input", "execute_result"]
    count = first.reply["execution_count"]
    assert first.of("execute_input") == [{"code": "6 * 7", "execution_count": count}]
    assert first.of("execute_result") == [{"execution_count": count, "data": {"text/plain": "42"}, "metadata": {}}]
    second = run(f"_ + Out[{count}]")
    assert second.reply["execution_count"] == count + 1
    assert second.of("execute_result")[0]["data"]["text/plain"] == "84"


def test_nothing_to_show(run):
    assert run("x = 1").types == ["execute_input"]
    assert run("").types == ["execute_input"]
    assert run("  \n").reply["status"] == "ok"


def test_streams_keep_their_order(run):
    outcome = run("import sys\nprint('a'); print('b')\nsys.stderr.write('c\\n')\nprint('d')\ndisplay(1)\nprint('e')")
    shown = [c.get("text", c.get("data")) for t, c in outcome.messages if t in ("stream", "display_data")]
    assert shown == ["a\nb\n", "c\n", "d\n", {"text/plain": "1"}, "e\n"]


def test_prints_are_batched(run):
    outcome = run("for i in range(20000): print(i)")
    assert outcome.text() == "".join(f"{i}\n" for i in range(20000))
    assert len(outcome.of("stream")) < 40


def test_output_comes_while_the_cell_runs(shared):
    identifier = shared.client.execute("import time\nprint('now')\ntime.sleep(1.5)\nprint('later')")
    start = time.time()
    while True:
        message = shared.client.get_iopub_msg(timeout=WAIT)
        if message["msg_type"] == "stream":
            break
    assert message["content"]["text"] == "now\n" and time.time() - start < 1
    assert message["parent_header"]["msg_id"] == identifier
    shared.client.get_shell_msg(timeout=WAIT)
    while message["content"].get("execution_state") != "idle":
        message = shared.client.get_iopub_msg(timeout=WAIT)


def test_much_output_is_whole(run):
    outcome = run("for i in range(300): print('x' * 100000)")
    assert len(outcome.text()) == 300 * 100001
    outcome = run("print('ü' * 1000000)")
    assert outcome.text() == "ü" * 1000000 + "\n"


def test_progress_lines_stay_lines(run):
    outcome = run("import lull._terminal as t\nassert t.is_terminal(1)\nprint('10%\\r20%\\r30%')")
    assert outcome.text() == "10%\r20%\r30%\n"


def test_error(run):
    outcome = run("def f(x):\n    return 1 / x\nf(0)")
    reply = outcome.reply
    assert reply["status"] == "error" and reply["ename"] == "ZeroDivisionError"
    assert reply["evalue"] == "division by zero" and reply["execution_count"] > 0
    assert any("line 3" in line for line in reply["traceback"])
    (error,) = outcome.of("error")
    assert error == {name: reply[name] for name in ("ename", "evalue", "traceback")}


def test_syntax_error(run):
    reply = run("x = )").reply
    assert reply["status"] == "error" and reply["ename"] == "SyntaxError"


def test_silent(shared):
    before = shared.run("'before'").reply["execution_count"]
    outcome = shared.run("quiet = 5; quiet", silent=True)
    assert outcome.types == [] and outcome.reply["status"] == "ok"
    assert outcome.reply["execution_count"] == before
    assert shared.run("print('heard')", silent=True).text() == "heard\n"
    after = shared.run("quiet, _")
    assert after.reply["execution_count"] == before + 1
    assert after.of("execute_result")[0]["data"]["text/plain"] == "(5, 'before')"


def test_store_history_false(shared):
    before = shared.run("1").reply["execution_count"]
    outcome = shared.run("2", store_history=False)
    assert outcome.types == ["execute_input", "execute_result"]
    assert outcome.reply["execution_count"] == before
    assert shared.run("3").reply["execution_count"] == before + 1


def test_user_expressions(run):
    reply = run("a = 5", user_expressions={"sum": "a + 1", "bad": "a +", "none": "None", "worse": "nowhere"}).reply
    values = reply["user_expressions"]
    assert values["sum"] == {"status": "ok", "data": {"text/plain": "6"}, "metadata": {}}
    assert values["none"]["data"] == {"text/plain": "None"}
    assert values["bad"]["status"] == "error" and values["bad"]["ename"] == "SyntaxError"
    assert values["worse"]["ename"] == "NameError" and values["worse"]["traceback"]
    assert "user_expressions" not in run("1 / 0", user_expressions={"sum": "a + 1"}).reply


def send_all(kernel, cells, **options):
    return [kernel.client.execute(cell, **options) for cell in cells]


def replies(kernel, identifiers):
    found = {}
    while set(found) != set(identifiers):
        reply = kernel.client.get_shell_msg(timeout=WAIT)
        found[reply["parent_header"]["msg_id"]] = reply["content"]
    idle = set()
    while not set(identifiers) <= idle:
        message = kernel.client.get_iopub_msg(timeout=WAIT)
        if message["content"].get("execution_state") == "idle":
            idle.add(message["parent_header"]["msg_id"])
    return [found[i] for i in identifiers]


def test_an_error_aborts_what_waits(shared):
    sent = send_all(shared, ["after = 0", "import time; time.sleep(0.5); 1 / 0"] + ["after += 1"] * 50)
    info = shared.client.kernel_info()
    states = [r["status"] for r in replies(shared, sent + [info])]
    assert states == ["ok", "error"] + ["aborted"] * 50 + ["ok"]
    assert shared.value("after") == "0"


def test_stop_on_error_false(shared):
    sent = send_all(shared, ["after = 0", "1 / 0"] + ["after += 1"] * 5, stop_on_error=False)
    assert [r["status"] for r in replies(shared, sent)] == ["ok", "error"] + ["ok"] * 5
    assert shared.value("after") == "5"


def test_exit(shared):
    reply = shared.run("exit()").reply
    assert reply["status"] == "ok" and reply["payload"] == [{"source": "ask_exit", "keepkernel": False}]
    reply = shared.run("import sys\nsys.exit('enough')").reply
    assert (reply["status"], reply["ename"], reply["evalue"]) == ("error", "SystemExit", "enough")
    assert shared.value("1") == "1"


def test_commands(run):
    assert "shape (3,)" in run("v = array([1, 2, 3])\nv?").text()
    assert run("%time v + 1").text().startswith("time:")
    assert "there is no command" in run("%nothing").reply["evalue"]


def test_shell_lines(shared):
    assert shared.run("!echo out; echo err >&2").text() == "out\n"
    assert shared.run("!echo err >&2").text("stderr") == "err\n"
    identifier = shared.client.execute("!sleep 60")
    time.sleep(0.5)
    begin = time.time()
    shared.interrupt()
    assert shared.collect(identifier).reply["ename"] == "KeyboardInterrupt" and time.time() - begin < 5


# Display


def test_display_and_updates(shared):
    outcome = shared.run("h = display('one', display_id=True)\nh.update('two')\nupdate_display('three', display_id=h.display_id)")
    (shown,) = outcome.of("display_data")
    identifier = shown["transient"]["display_id"]
    assert shown["data"] == {"text/plain": "'one'"}
    updates = outcome.of("update_display_data")
    assert [u["data"]["text/plain"] for u in updates] == ["'two'", "'three'"]
    assert {u["transient"]["display_id"] for u in updates} == {identifier}
    # From another cell, and under a name of one's own.
    outcome = shared.run("h.update('four')\ndisplay('five', display_id='mine')")
    assert outcome.of("update_display_data")[0]["transient"] == {"display_id": identifier}
    assert outcome.of("display_data")[0]["transient"] == {"display_id": "mine"}


def test_clear_output(run):
    outcome = run("print('gone')\nclear_output()\nclear_output(wait=True)\nprint('new')")
    assert outcome.types == ["execute_input", "stream", "clear_output", "clear_output", "stream"]
    assert [c["wait"] for c in outcome.of("clear_output")] == [False, True]


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_display_objects(run):
    outcome = run(
        "from IPython.display import *\n"
        "display(HTML('<b>1</b>'), Markdown('*2*'), Latex('$3$'), Math('4'), SVG('<?xml?><svg></svg>'), JSON({'a': [1, None]}),\n"
        f"    Javascript('5'), Image({PNG!r}, width=9), Audio([0, 1, -1], rate=8000), Pretty('6'))"
    )
    assert outcome.reply["status"] == "ok", outcome.reply
    data = [c["data"] for c in outcome.of("display_data")]
    assert data[0]["text/html"] == "<b>1</b>" and data[0]["text/plain"]
    assert data[1] == {"text/markdown": "*2*", "text/plain": "*2*"}
    assert data[2]["text/latex"] == "$3$" and data[3]["text/latex"] == "$\\displaystyle 4$"
    assert data[4]["image/svg+xml"] == "<svg></svg>"
    assert data[5]["application/json"] == {"a": [1, None]}
    assert data[6]["application/javascript"] == "5"
    assert base64.b64decode(data[7]["image/png"]) == PNG
    assert outcome.of("display_data")[7]["metadata"] == {"image/png": {"width": 9}}
    sound = data[8]["text/html"]
    wav = base64.b64decode(sound.split("base64,")[1].split('"')[0])
    assert wav[:4] == b"RIFF" and wav[44:] == b"\x00\x00\xff\x7f\x01\x80"
    assert data[9] == {"text/plain": "6"}


def test_own_representations(run):
    outcome = run(
        "class A:\n"
        "    def __repr__(self): return 'plain'\n"
        "    def _repr_mimebundle_(self, include=None, exclude=None):\n"
        "        return {'text/html': '<i>rich</i>', 'application/x+json': {'n': 1}}, {'text/html': {'isolated': True}}\n"
        "class B:\n"
        "    def _ipython_display_(self): print('myself')\n"
        "display(A(), exclude=['application/x+json'])\ndisplay(B())\n"
        "display({'text/plain': 'raw', 'image/png': b'123'}, raw=True, metadata={'image/png': {'width': 1}})\nA()"
    )
    shown = outcome.of("display_data")
    assert shown[0]["data"] == {"text/plain": "plain", "text/html": "<i>rich</i>"}
    assert shown[0]["metadata"] == {"text/html": {"isolated": True}}
    assert outcome.text() == "myself\n"
    assert shown[1]["data"] == {"text/plain": "raw", "image/png": "MTIz"}
    assert shown[1]["metadata"] == {"image/png": {"width": 1}}
    assert outcome.of("execute_result")[0]["data"]["application/x+json"] == {"n": 1}


@pytest.mark.parametrize(
    "code, kind",
    [
        ("display(1, display_id=3)", "TypeError"),
        ("display({'text/plain': 3}, raw=True)", "TypeError"),
        ("display(1, metadata=[1])", "TypeError"),
        ("update_display(1)", "TypeError"),
        ("from IPython.display import Image; Image(b'no image')", "ValueError"),
        ("from IPython.display import JSON; display(JSON({'a': float('nan')}))", "ValueError"),
        ("from IPython.display import Audio; Audio([1, 2])", "ValueError"),
    ],
)
def test_wrong_displays(run, code, kind):
    assert run(code).reply["ename"] == kind


# input()


def answer(kernel, text):
    request = kernel.client.get_stdin_msg(timeout=WAIT)
    assert request["msg_type"] == "input_request"
    kernel.client.input(text)
    return request


def test_input(shared):
    identifier = shared.client.execute("print('before')\nname = input('name? ')\nname.upper()", allow_stdin=True)
    request = answer(shared, "ünï")
    assert request["content"] == {"prompt": "name? ", "password": False}
    assert request["parent_header"]["msg_id"] == identifier
    outcome = shared.collect(identifier)
    assert outcome.text() == "before\n"
    assert outcome.of("execute_result")[0]["data"]["text/plain"] == "'ÜNÏ'"


def test_password(shared):
    identifier = shared.client.execute("import getpass\ngetpass.getpass('secret: ')", allow_stdin=True)
    assert answer(shared, "x")["content"] == {"prompt": "secret: ", "password": True}
    assert shared.collect(identifier).of("execute_result")[0]["data"]["text/plain"] == "'x'"


def test_input_that_nobody_can_answer(run):
    reply = run("input('name? ')", allow_stdin=False).reply
    assert reply["ename"] == "NotImplementedError" and "does not support input" in reply["evalue"]


def test_conversation(shared):
    """%chat asks in the notebook; two interrupts where it asks end it."""
    model = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    if not model.exists():
        pytest.skip("make demo fetches the model")
    identifier = shared.client.execute(f'%chat "{model}" --max-tokens 5', allow_stdin=True)
    assert answer(shared, "Hello")["content"]["prompt"] == ">> "
    assert shared.client.get_stdin_msg(timeout=WAIT)["content"]["prompt"] == ">> "
    shared.interrupt()
    assert shared.client.get_stdin_msg(timeout=WAIT)["content"]["prompt"] == ">> "
    shared.interrupt()
    outcome = shared.collect(identifier)
    assert outcome.reply["ename"] == "KeyboardInterrupt"
    assert "q ends it" in outcome.text() and len(outcome.text().splitlines()) > 1


def test_interrupted_input(shared):
    identifier = shared.client.execute("input()", allow_stdin=True)
    shared.client.get_stdin_msg(timeout=WAIT)
    shared.interrupt()
    assert shared.collect(identifier).reply["ename"] == "KeyboardInterrupt"


def test_late_answer_is_not_taken_for_another(shared):
    shared.client.input("late")
    time.sleep(0.2)
    identifier = shared.client.execute("input()", allow_stdin=True)
    answer(shared, "right")
    assert shared.collect(identifier).of("execute_result")[0]["data"]["text/plain"] == "'right'"


# Introspection


def complete(kernel, code, cursor=None):
    return kernel.request("complete_request", {"code": code, "cursor_pos": len(code) if cursor is None else cursor}).reply


def test_complete(shared):
    shared.run("my_value_1 = array([1, 2])\nmy_value_2 = 2\ndef my_value_f(number): return number")
    reply = complete(shared, "x = my_value_")
    assert reply["status"] == "ok"
    assert reply["matches"] == ["my_value_1", "my_value_2", "my_value_f"]
    assert (reply["cursor_start"], reply["cursor_end"]) == (4, 13)
    kinds = reply["metadata"]["_jupyter_types_experimental"]
    assert [(k["text"], k["type"]) for k in kinds] == [
        ("my_value_1", "instance"), ("my_value_2", "instance"), ("my_value_f", "function"),
    ]
    assert all((k["start"], k["end"]) == (4, 13) for k in kinds)
    assert "my_value_1.shape" in complete(shared, "my_value_1.sh")["matches"]
    assert complete(shared, "my_value_f(num")["matches"] == ["number="]
    assert complete(shared, "%whos")["matches"] == ["%whos"]
    assert complete(shared, "nothing_here_")["matches"] == []


def test_positions_are_code_points(shared):
    code = "s = '𝒳ü'; my_value_1  # 𝒳"
    reply = complete(shared, code, code.index("my_v") + len("my_v"))
    assert (reply["cursor_start"], reply["cursor_end"]) == (10, 14)
    assert "my_value_1" in reply["matches"]


def test_completion_evaluates_nothing(shared):
    shared.run("lazy = ones((3,)) + 1")
    complete(shared, "lazy.sh")
    shared.request("inspect_request", {"code": "lazy", "cursor_pos": 4, "detail_level": 0})
    assert "pending" in shared.run("lazy?").text()


@pytest.mark.parametrize("cursor", [-5, 0, 3, 10**6, 10**30, None, "x", 1.5])
def test_odd_positions(shared, cursor):
    reply = shared.request("complete_request", {"code": "ünï.x", "cursor_pos": cursor}).reply
    assert reply["status"] == "ok" and 0 <= reply["cursor_start"] <= reply["cursor_end"] <= 5
    reply = shared.request("inspect_request", {"code": "ünï(x", "cursor_pos": cursor, "detail_level": cursor}).reply
    assert reply["status"] == "ok"


def inspect(kernel, code, cursor=None, detail=0):
    content = {"code": code, "cursor_pos": len(code) if cursor is None else cursor, "detail_level": detail}
    return kernel.request("inspect_request", content).reply


def test_inspect(shared):
    shared.run('def documented(a, b=2):\n    """What it does."""\n    return a * b')
    found = inspect(shared, "x = documented", 7)
    assert found["found"] and "documented(a, b=2)" in found["data"]["text/plain"]
    assert "What it does" in found["data"]["text/plain"] and "return a" not in found["data"]["text/plain"]
    assert "return a * b" in inspect(shared, "documented", detail=1)["data"]["text/plain"]
    assert "softmax(" in inspect(shared, "softmax(ones((2, 2)), ")["data"]["text/plain"]
    assert "%time" in inspect(shared, "%time")["data"]["text/plain"]
    nothing = inspect(shared, "no_such_name")
    assert nothing["status"] == "ok" and not nothing["found"] and nothing["data"] == {}


def test_is_complete(shared):
    def ask(code):
        return shared.request("is_complete_request", {"code": code}).reply

    assert ask("x = 1") == {"status": "complete"}
    assert ask("for i in x:") == {"status": "incomplete", "indent": "    "}
    assert ask("f(1,")["status"] == "incomplete"
    assert ask("x = )") == {"status": "invalid"}


# History, comms, information


def history(kernel, **content):
    content = {"output": False, "raw": True, **content}
    return [tuple(e) for e in kernel.request("history_request", content).reply["history"]]


def test_history(kernel):
    cells = ["a = 1", "a + 1", "b = [1]", "a + 1", "print('ü')"]
    for cell in cells:
        kernel.run(cell)
    everything = [(1, i + 1, cell) for i, cell in enumerate(cells)]
    assert history(kernel, hist_access_type="range", session=0, start=0, stop=None) == everything
    assert history(kernel, hist_access_type="range", session=0, start=2, stop=4) == everything[1:3]
    assert history(kernel, hist_access_type="range", session=7, start=1, stop=4) == []
    assert history(kernel, hist_access_type="tail", n=2) == everything[3:]
    assert history(kernel, hist_access_type="tail", n=100) == everything
    assert history(kernel, hist_access_type="search", pattern="a*") == [everything[i] for i in (0, 1, 3)]
    assert history(kernel, hist_access_type="search", pattern="a*", unique=True) == [everything[i] for i in (0, 3)]
    assert history(kernel, hist_access_type="search", pattern="?????", n=1) == [everything[3]]
    assert history(kernel, hist_access_type="search", pattern="*[ü]*") == [everything[4]]
    assert history(kernel, hist_access_type="search", pattern="*'ü'*") == [everything[4]]
    with_output = history(kernel, hist_access_type="range", session=0, start=1, stop=3, output=True)
    assert with_output == [(1, 1, ["a = 1", None]), (1, 2, ["a + 1", "2"])]
    for odd in ({"hist_access_type": "none"}, {"hist_access_type": "tail", "n": -3}, {},
                {"hist_access_type": "range", "start": 9, "stop": -10**18}):
        assert history(kernel, **odd) == []
    # A form that is slow when it is matched naively.
    kernel.run("'" + "a" * 5000 + "'")
    begin = time.time()
    assert history(kernel, hist_access_type="search", pattern="*a" * 200 + "b") == []
    assert time.time() - begin < 5


def test_comms(shared):
    assert shared.request("comm_info_request", {}).reply == {"status": "ok", "comms": {}}
    message = shared.client.session.msg("comm_open", {"comm_id": "c1", "target_name": "nobody", "data": {}})
    shared.client.shell_channel.send(message)
    while True:
        answer = shared.client.get_iopub_msg(timeout=WAIT)
        if answer["msg_type"] == "comm_close":
            break
    assert answer["content"] == {"comm_id": "c1", "data": {}}


@pytest.mark.parametrize("channel", ["shell", "control"])
def test_kernel_info(shared, channel):
    reply = shared.request("kernel_info_request", channel=channel).reply
    assert reply["status"] == "ok" and reply["implementation"] == "lull"
    assert reply["protocol_version"].startswith("5.")
    assert reply["language_info"]["name"] == "python" and reply["language_info"]["file_extension"] == ".py"
    assert reply["banner"].startswith("Lull")


def test_unknown_requests_are_ignored(shared):
    for type in ("nonsense_request", "debug_request", "execute_reply", ""):
        shared.client.shell_channel.send(shared.client.session.msg(type, {}))
        shared.client.control_channel.send(shared.client.session.msg(type, {}))
    assert shared.value("2 + 3") == "5"


# While a cell runs


def test_control_and_heartbeat_while_a_cell_runs(shared):
    identifier = shared.client.execute("sum(ones((3000, 3000)) @ ones((3000, 3000)))\nwhile True: pass")
    time.sleep(0.3)
    begin = time.time()
    reply = shared.client.session.msg("kernel_info_request", {})
    shared.client.control_channel.send(reply)
    assert shared.client.get_control_msg(timeout=5)["msg_type"] == "kernel_info_reply"
    assert time.time() - begin < 0.5
    beats = shared.client.hb_channel
    beats.unpause()
    time.sleep(1.5)
    assert beats.is_beating()
    shared.interrupt()
    assert shared.collect(identifier).reply["ename"] == "KeyboardInterrupt"


def test_interrupt_by_signal(kernel):
    identifier = kernel.client.execute("kept = 7\nwhile True: pass")
    time.sleep(0.5)
    os.kill(kernel.manager.provisioner.pid, signal.SIGINT)
    assert kernel.collect(identifier).reply["ename"] == "KeyboardInterrupt"
    assert kernel.value("kept") == "7"
    # A late one hits nothing.
    os.kill(kernel.manager.provisioner.pid, signal.SIGINT)
    kernel.interrupt()
    time.sleep(0.2)
    assert kernel.value("kept + 1") == "8"


def test_interrupt_aborts_what_waits(shared):
    sent = send_all(shared, ["n = 0\nwhile True: n += 1", "n = -1", "n = -2"])
    time.sleep(0.3)
    shared.interrupt()
    assert [r["status"] for r in replies(shared, sent)] == ["error", "aborted", "aborted"]
    assert int(shared.value("n")) >= 0


# The end


@pytest.mark.parametrize("code", ["1", "while True: pass", "while True:\n  try:\n    while True: pass\n  except BaseException: pass"])
def test_shutdown(code):
    kernel = start()
    kernel.client.execute(code)
    time.sleep(0.3)
    begin = time.time()
    message = kernel.client.session.msg("shutdown_request", {"restart": False})
    kernel.client.control_channel.send(message)
    while True:
        reply = kernel.client.get_control_msg(timeout=WAIT)
        if reply["msg_type"] == "shutdown_reply":
            break
    assert reply["content"] == {"status": "ok", "restart": False}
    process = kernel.manager.provisioner.process
    while process.poll() is None and time.time() - begin < 10:
        time.sleep(0.02)
    assert process.poll() == 0 and time.time() - begin < 3
    kernel.client.stop_channels()
    kernel.manager.cleanup_resources()


def test_restart(kernel):
    kernel.run("x = 1")
    kernel.manager.restart_kernel(now=False)
    kernel.client.wait_for_ready(timeout=WAIT)
    assert kernel.run("x").reply["ename"] == "NameError"


def test_ipc(tmp_path):
    os.chdir(tmp_path)
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="lull", transport="ipc")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=WAIT)
    from conftest import Kernel

    kernel = Kernel(manager, client)
    assert kernel.value("1 + 1") == "2"
    stop(kernel)


def test_json_is_what_all_readers_take(run):
    # Strict readers refuse NaN and lone surrogates.
    outcome = run("float('nan'), '\\ud800' if False else 'x'")
    json.dumps(outcome.messages, allow_nan=False)
