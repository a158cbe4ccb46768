"""What is not from our front end, or is damaged, is dropped: the kernel neither ends nor hangs."""

import hashlib
import hmac
import json
import os
import random
import subprocess
import time
import uuid

import pytest
import zmq
from conftest import LULL, WAIT, start, stop

SEED = int(os.environ.get("LULL_FUZZ_SEED", "7"))
ROUNDS = int(os.environ.get("LULL_FUZZ_ROUNDS", "1500"))


class Raw:
    """A front end of bytes."""

    def __init__(self, connection):
        self.key = connection["key"].encode()
        self.context = zmq.Context()
        self.sockets = {}
        for name, kind in (("shell", zmq.DEALER), ("control", zmq.DEALER), ("stdin", zmq.DEALER), ("iopub", zmq.SUB), ("hb", zmq.REQ)):
            socket = self.context.socket(kind)
            socket.linger = 0
            if kind == zmq.SUB:
                socket.subscribe(b"")
            if connection["transport"] == "ipc":
                socket.connect(f"ipc://{connection['ip']}-{connection[name + '_port']}")
            else:
                socket.connect(f"tcp://{connection['ip']}:{connection[name + '_port']}")
            self.sockets[name] = socket

    def sign(self, parts):
        if not self.key:
            return b""
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()

    def parts(self, type, content, header=None, metadata=b"{}", parent=b"{}"):
        if header is None:
            header = {
                "msg_id": uuid.uuid4().hex, "msg_type": type, "username": "", "session": "s",
                "date": "2026-01-01T00:00:00Z", "version": "5.3",
            }
        encode = lambda v: v if isinstance(v, bytes) else json.dumps(v).encode()
        body = [encode(header), encode(parent), encode(metadata), encode(content)]
        return [b"<IDS|MSG>", self.sign(body)] + body

    def send(self, channel, parts):
        self.sockets[channel].send_multipart(parts)

    def receive(self, channel, timeout=WAIT):
        if not self.sockets[channel].poll(timeout * 1000):
            return None
        parts = self.sockets[channel].recv_multipart()
        at = parts.index(b"<IDS|MSG>")
        assert parts[at + 1] == self.sign(parts[at + 2 : at + 6])
        return [json.loads(p) for p in parts[at + 2 : at + 6]]

    def ask(self, type, content, channel="shell"):
        """The content of the reply, once nothing older is left."""
        parts = self.parts(type, content)
        identifier = json.loads(parts[2])["msg_id"]
        self.send(channel, parts)
        end = time.time() + WAIT
        while time.time() < end:
            reply = self.receive(channel)
            if reply and reply[1].get("msg_id") == identifier:
                return reply[3]
        raise AssertionError(f"no reply to {type}")

    def close(self):
        self.context.destroy(linger=0)


def launch(tmp_path, env=None, **changes):
    """A kernel with a connection file of ours."""
    connection = {
        "ip": "127.0.0.1", "transport": "tcp", "key": "a-key", "signature_scheme": "hmac-sha256",
        "shell_port": 0, "iopub_port": 0, "stdin_port": 0, "control_port": 0, "hb_port": 0, **changes,
    }
    path = tmp_path / "connection.json"
    path.write_text(json.dumps(connection))
    process = subprocess.Popen([LULL, "kernel", "run", "-f", str(path)], env={**os.environ, **(env or {})})
    end = time.time() + WAIT
    while time.time() < end:
        connection = json.loads(path.read_text())
        if connection["hb_port"] != 0:
            return process, connection
        time.sleep(0.005)
    process.kill()
    raise AssertionError("the kernel did not choose its ports")


@pytest.fixture
def raw(tmp_path):
    process, connection = launch(tmp_path)
    front = Raw(connection)
    yield front
    assert process.poll() is None
    front.close()
    process.kill()
    process.wait()


def is_alive(raw):
    # What waited when a cell failed is aborted: first let all of it be done.
    raw.ask("kernel_info_request", {})
    reply = raw.ask("execute_request", {"code": "1 + 1", "user_expressions": {"a": "6 * 7"}})
    return reply["user_expressions"]["a"]["data"]["text/plain"] == "42"


def test_heartbeat_echoes(raw):
    for beat in (b"ping", b"", b"x" * 100000):
        raw.sockets["hb"].send(beat)
        assert raw.sockets["hb"].poll(5000) and raw.sockets["hb"].recv() == beat


def test_wrong_signatures_are_dropped(raw):
    assert is_alive(raw)
    for signature in (b"", b"0" * 64, b"x" * 10**6, raw.parts("execute_request", {})[1]):
        parts = raw.parts("execute_request", {"code": "intruder = 1"})
        parts[1] = signature
        for channel in ("shell", "control"):
            raw.send(channel, parts)
    parts = raw.parts("execute_request", {"code": "intruder = 1"})
    parts[5] = parts[5].replace(b"= 1", b"= 2")
    raw.send("shell", parts)
    parts = raw.parts("shutdown_request", {"restart": False})
    parts[1] = parts[1][:-1] + (b"0" if parts[1][-1:] != b"0" else b"1")
    raw.send("control", parts)
    assert raw.ask("execute_request", {"code": "intruder"})["ename"] == "NameError"
    assert raw.receive("control", timeout=0.2) is None


def test_without_a_key_nothing_is_signed(tmp_path):
    process, connection = launch(tmp_path, key="")
    front = Raw(connection)
    assert is_alive(front)
    front.close()
    process.kill()
    process.wait()


def test_many_messages_at_once(raw):
    for i in range(2000):
        raw.send("shell", raw.parts("is_complete_request", {"code": str(i)}))
    for _ in range(2000):
        assert raw.receive("shell")[3] == {"status": "complete"}


TYPES = [
    "execute_request", "complete_request", "inspect_request", "is_complete_request", "history_request", "comm_info_request",
    "kernel_info_request", "comm_open", "comm_msg", "comm_close", "connect_request", "input_reply", "debug_request", "nonsense",
]
FIELDS = [
    "code", "silent", "store_history", "user_expressions", "allow_stdin", "stop_on_error", "cursor_pos", "detail_level", "output",
    "raw", "hist_access_type", "session", "start", "stop", "n", "pattern", "unique", "target_name", "comm_id", "data", "value",
]
VALUES = [
    None, True, False, 0, 1, -1, 2**31, 2**63 - 1, -(2**63), 10**40, 1.5, 1e308, "", "x", "range", "tail", "search", "(((", "'",
    "%", "%%", "%time", "x?", "?", "a.b.", "ü" * 50, "\u0000", "\ud83d\ude00", "*[", "[!", [], [1], {}, {"a": 1}, {"a": "1 +"}, {"": ""},
    "1 / 0", "def f(", "import nothing", "[" * 3000, "'" * 999, "\\", "f'{", "#", "a" * 100000,
]


def damaged(chance, parts):
    """The parts with something wrong."""
    parts = list(parts)
    what = chance.randrange(9)
    at = chance.randrange(len(parts))
    if what == 0:
        del parts[at]
    elif what == 1:
        parts.insert(at, bytes(chance.randrange(256) for _ in range(chance.randrange(40))))
    elif what == 2:
        parts[at] = parts[at][: chance.randrange(len(parts[at]) + 1)]
    elif what == 3:
        text = bytearray(parts[at] or b"x")
        for _ in range(chance.randrange(1, 4)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        parts[at] = bytes(text)
    elif what == 4:
        parts = [bytes(chance.randrange(256) for _ in range(chance.randrange(30))) for _ in range(chance.randrange(1, 12))]
    elif what == 5:
        parts = parts * chance.randrange(1, 20)
    elif what == 6:
        chance.shuffle(parts)
    elif what == 7:
        parts[at] = b"[" * chance.randrange(1, 5000)
    else:
        parts += [b"buffer"] * chance.randrange(1, 50)
    return parts


def test_fuzz(raw):
    chance = random.Random(SEED)
    for round in range(ROUNDS):
        content = {chance.choice(FIELDS): chance.choice(VALUES) for _ in range(chance.randrange(8))}
        type = chance.choice(TYPES)
        # Nobody answers, so nothing may wait for an answer.
        content["allow_stdin"] = False
        kind = chance.randrange(4)
        if kind == 0:  # valid, with odd values
            parts = raw.parts(type, content)
        elif kind == 1:  # signed, with a body that is damaged
            header = {"msg_id": "i", "msg_type": type, "session": "s", "username": "u", "date": "d", "version": "5.3"}
            pieces = [json.dumps(header).encode(), b"{}", b"{}", json.dumps(content).encode()]
            at = chance.randrange(4)
            body = bytearray(pieces[at] or b"x")
            for _ in range(chance.randrange(1, 5)):
                body[chance.randrange(len(body))] = chance.randrange(256)
            pieces[at] = bytes(body)
            parts = raw.parts(type, pieces[3], pieces[0], pieces[2], pieces[1])
        elif kind == 2:  # signed, but no object or no strings where they should be
            odd = chance.choice([b"", b"null", b"[]", b"3", b'{"msg_type": 3}', b'{"msg_id": 1, "msg_type": "execute_request"}', b"{" * 999])
            parts = raw.parts(type, odd if chance.random() < 0.5 else content, odd if chance.random() < 0.5 else None, odd)
        else:
            parts = damaged(chance, raw.parts(type, content))
        raw.send(chance.choice(["shell", "shell", "control", "stdin"]), parts)
        if round % 250 == 249:
            assert is_alive(raw)
    assert is_alive(raw)
    assert raw.ask("kernel_info_request", {}, "control")["status"] == "ok"


def test_the_kernel_goes_with_its_parent(tmp_path):
    connection = {
        "ip": "127.0.0.1", "transport": "tcp", "key": "k", "signature_scheme": "hmac-sha256",
        "shell_port": 0, "iopub_port": 0, "stdin_port": 0, "control_port": 0, "hb_port": 0,
    }
    path = tmp_path / "connection.json"
    path.write_text(json.dumps(connection))
    # A parent that starts the kernel and is gone.
    script = f"JPY_PARENT_PID=$$ '{LULL}' kernel run -f '{path}' & echo $!; while grep -q 'hb_port\": 0' '{path}'; do sleep 0.05; done; sleep 0.5"
    out = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=WAIT).stdout
    pid = int(out.split()[0])
    end = time.time() + 10
    while time.time() < end and os.path.exists(f"/proc/{pid}/cmdline") and open(f"/proc/{pid}/cmdline").read():
        time.sleep(0.1)
    assert time.time() < end, "the kernel outlived its parent"


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "JSON"),
        ("[]", "no object"),
        ('{"transport": "udp"}', "'transport' must be"),
        ('{"transport": "ipc"}', "'ip' is missing"),
        ('{"ip": "127.0.0.1"}', "'shell_port' must be a port number"),
        ('{"ip": "127.0.0.1", "shell_port": 99999}', "'shell_port' must be a port number"),
        ('{"ip": "127.0.0.1", "shell_port": 0, "iopub_port": 0, "stdin_port": 0, "control_port": 0, "hb_port": 0, "key": 3}', "'key' must"),
        (
            '{"ip": "127.0.0.1", "shell_port": 0, "iopub_port": 0, "stdin_port": 0, "control_port": 0, "hb_port": 0, "key": "k",'
            ' "signature_scheme": "hmac-md5"}',
            "hmac-sha256",
        ),
        ('{"ip": "nowhere.invalid", "shell_port": 0, "iopub_port": 0, "stdin_port": 0, "control_port": 0, "hb_port": 0}', "cannot listen"),
    ],
)
def test_wrong_connection_files(tmp_path, text, message):
    path = tmp_path / "c.json"
    path.write_text(text)
    done = subprocess.run([LULL, "kernel", "run", "-f", str(path)], capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1


def test_ports_in_use(tmp_path):
    process, connection = launch(tmp_path)
    path = tmp_path / "again.json"
    path.write_text(json.dumps(connection))
    done = subprocess.run([LULL, "kernel", "run", "-f", str(path)], capture_output=True, text=True, timeout=WAIT)
    process.kill()
    process.wait()
    assert done.returncode == 1 and "Address already in use" in done.stderr


def test_started_by_hand(tmp_path):
    process = subprocess.Popen(
        [LULL, "kernel", "run"], stderr=subprocess.PIPE, text=True, env={**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path / "run")}
    )
    line = process.stderr.readline()
    path = line.split("--existing ")[1].strip()
    assert os.stat(path).st_mode & 0o777 == 0o600
    front = Raw(json.load(open(path)))
    assert is_alive(front)
    front.ask("shutdown_request", {"restart": False}, "control")
    assert process.wait(timeout=10) == 0 and not os.path.exists(path)
    front.close()


def test_start_to_first_reply(tmp_path):
    """From starting the program to the reply of a cell: the median of some starts (docs give a figure of 20)."""
    count = int(os.environ.get("LULL_STARTS", "5"))
    times = []
    for i in range(count):
        directory = tmp_path / str(i)
        directory.mkdir()
        begin = time.perf_counter()
        process, connection = launch(directory)
        front = Raw(connection)
        assert front.ask("execute_request", {"code": "1"})["status"] == "ok"
        times.append(time.perf_counter() - begin)
        front.close()
        process.kill()
        process.wait()
    times.sort()
    print("start to first reply, ms:", [round(1000 * t, 1) for t in times], "median", round(1000 * times[count // 2], 1))
    assert times[count // 2] < 0.5
