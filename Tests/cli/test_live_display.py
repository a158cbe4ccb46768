"""Updates of displayed values at the prompt are written over what they replace."""

import os
import re

import pytest

from conftest import LULL
from terminal import Terminal

BACK = re.compile(r"\x1b\[(\d+)A\r\x1b\[J")


class RawTerminal(Terminal):
    """Keeps what moves the cursor."""

    raw = ""

    def _read(self, wait):
        import select

        if not select.select([self.leader], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.leader, 65536).decode("utf-8", "replace")
        except OSError:
            return False
        self.raw += data
        self.seen += data
        return bool(data)


@pytest.fixture
def ask(tmp_path):
    made = []

    def run(*lines, **settings):
        env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "TERM": "xterm", "INPUTRC": "/dev/null"}
        terminal = RawTerminal([LULL], {**env, "XDG_CONFIG_HOME": str(tmp_path), **settings}, tmp_path)
        made.append(terminal)
        terminal.expect(">>> ")
        for line in lines:
            terminal.send(line + "\r")
            terminal.expect(">>> ")
        return terminal.raw

    yield run
    for terminal in made:
        terminal.close()


def test_updates_in_place(ask):
    raw = ask("h = display('one', display_id=True); h.update('two'); h.update('x' * 300); h.update('end')")
    # The 302 characters take three lines of 120.
    assert BACK.findall(raw) == ["1", "1", "3"]
    assert raw.index("'two'") < raw.index("'end'")


def test_what_stands_further_up_stays(ask):
    raw = ask("h = display('one', display_id=True); print('between'); h.update('two')", "h.update('three')")
    assert BACK.findall(raw) == [] and "'two'" in raw and "'three'" in raw


def test_a_terminal_that_cannot_go_back(ask):
    assert BACK.findall(ask("h = display('one', display_id=True); h.update('two')", TERM="dumb")) == []
