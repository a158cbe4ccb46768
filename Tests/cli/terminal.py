"""A program on a pseudo-terminal, driven as a person would."""

import errno
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import fcntl
import time

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]|\x07|\x1b\][^\x07]*\x07")


class Terminal:
    def __init__(self, command, env, cwd, timeout=15):
        self.timeout = timeout
        leader, follower = pty.openpty()
        fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(follower)
        self.leader = leader
        self.seen = ""  # everything that was not yet expected
        self.all = ""

    def _read(self, wait):
        ready, _, _ = select.select([self.leader], [], [], wait)
        if not ready:
            return False
        try:
            data = os.read(self.leader, 65536)
        except OSError as error:
            if error.errno == errno.EIO:
                return False
            raise
        text = ESCAPES.sub("", data.decode("utf-8", "replace"))
        self.seen += text
        self.all += text
        return bool(data)

    def expect(self, text, timeout=None):
        """Waits until the text appears and returns what came before it."""
        end = time.monotonic() + (timeout or self.timeout)
        while text not in self.seen:
            if time.monotonic() > end:
                raise AssertionError(f"no {text!r} in {self.seen!r}")
            if not self._read(0.1) and self.process.poll() is not None and text not in self.seen:
                raise AssertionError(f"ended before {text!r}; got {self.seen!r}")
        before, self.seen = self.seen.split(text, 1)
        return before

    def send(self, text):
        os.write(self.leader, text.encode())

    def line(self, text):
        self.send(text + "\r")

    def ask(self, text, prompt=">>> "):
        """Enters a line and returns what it printed, up to the next prompt."""
        self.line(text)
        self.expect(text)
        return self.expect(prompt).replace("\r\n", "\n").strip("\r\n")

    def resize(self, rows, columns):
        fcntl.ioctl(self.leader, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def interrupt(self):
        self.send("\x03")

    def wait(self, timeout=10):
        """The exit status; reads on so that the program never blocks."""
        end = time.monotonic() + timeout
        while self.process.poll() is None:
            if time.monotonic() > end:
                raise AssertionError(f"still running; got {self.seen!r}")
            self._read(0.05)
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.leader)
