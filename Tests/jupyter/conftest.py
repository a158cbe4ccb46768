"""Kernels for the tests of the Jupyter kernel. LULL names another program to test than the built one."""

import os
import pathlib
import subprocess

import pytest
from jupyter_client.manager import start_new_kernel

ROOT = pathlib.Path(__file__).resolve().parents[2]
LULL = os.environ.get("LULL", str(ROOT / "lull"))
WAIT = 60


@pytest.fixture(scope="session", autouse=True)
def jupyter(tmp_path_factory):
    """Jupyter's directories, empty but for Lull's kernelspec."""
    home = tmp_path_factory.mktemp("jupyter")
    for name in ("DATA", "CONFIG", "RUNTIME"):
        os.environ[f"JUPYTER_{name}_DIR"] = str(home / name.lower())
    os.environ["JUPYTER_PATH"] = ""
    os.environ["IPYTHONDIR"] = str(home / "ipython")
    os.environ["JUPYTER_PLATFORM_DIRS"] = "0"
    subprocess.run([LULL, "kernel", "install"], check=True, capture_output=True, timeout=60)
    return home


class Outcome:
    """What a request brought: its reply and the messages of iopub up to idle."""

    def __init__(self, reply, messages):
        self.reply = reply["content"]
        self.raw = reply
        self.messages = [(m["msg_type"], m["content"]) for m in messages]

    def of(self, kind):
        return [content for type, content in self.messages if type == kind]

    @property
    def types(self):
        return [type for type, _ in self.messages if type != "status"]

    def text(self, name="stdout"):
        return "".join(c["text"] for c in self.of("stream") if c["name"] == name)


class Kernel:
    def __init__(self, manager, client):
        self.manager = manager
        self.client = client

    def collect(self, identifier, timeout=WAIT, channel="shell"):
        """The reply to a request and its messages of iopub, which must begin with busy and end with idle."""
        get = self.client.get_shell_msg if channel == "shell" else self.client.get_control_msg
        while True:
            reply = get(timeout=timeout)
            if reply["parent_header"].get("msg_id") == identifier:
                break
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") != identifier:
                continue
            messages.append(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        assert messages[0]["content"] == {"execution_state": "busy"}
        return Outcome(reply, messages)

    def run(self, code, timeout=WAIT, **options):
        return self.collect(self.client.execute(code, **options), timeout)

    def request(self, type, content=None, channel="shell"):
        message = self.client.session.msg(type, content or {})
        (self.client.shell_channel if channel == "shell" else self.client.control_channel).send(message)
        return self.collect(message["header"]["msg_id"], channel=channel)

    def value(self, code):
        """The text of an expression's value."""
        outcome = self.run(code)
        assert outcome.reply["status"] == "ok", outcome.reply
        return outcome.of("execute_result")[0]["data"]["text/plain"]

    def interrupt(self):
        message = self.client.session.msg("interrupt_request", {})
        self.client.control_channel.send(message)
        return message["header"]["msg_id"]


def start(**options):
    return Kernel(*start_new_kernel(kernel_name="lull", startup_timeout=WAIT, **options))


def stop(kernel):
    kernel.client.stop_channels()
    kernel.manager.shutdown_kernel(now=False)


@pytest.fixture(scope="module")
def shared():
    """One kernel for the tests of a file."""
    kernel = start()
    yield kernel
    stop(kernel)


@pytest.fixture
def kernel():
    """A kernel of its own."""
    kernel = start()
    yield kernel
    stop(kernel)
