"""input() and getpass at the command line; in notebooks the kernel asks (Tests/jupyter)."""

import os
import pty
import select
import time

from conftest import LULL


def test_piped(lull):
    result = lull("-c", "import getpass\nprint([input('a '), getpass.getpass('b ')])", stdin="one\ntwo\n")
    assert result.out == "a b ['one', 'two']\n"
    result = lull("-c", "import getpass\ngetpass.getpass()", stdin="")
    assert result.code == 1 and "EOFError" in result.err


def test_a_password_is_not_shown():
    process, terminal = pty.fork()
    if process == 0:
        os.execv(LULL, [LULL, "-c", "import getpass\nsecret = getpass.getpass()\nprint('length', len(secret), input('shown? '))"])
    seen = b""

    def wait(text):
        nonlocal seen
        end = time.time() + 20
        while text not in seen:
            assert time.time() < end, seen
            if select.select([terminal], [], [], 0.2)[0]:
                try:
                    seen += os.read(terminal, 4096)
                except OSError:
                    break

    wait(b"Password: ")
    time.sleep(0.2)
    os.write(terminal, b"hidden\n")
    wait(b"shown? ")
    os.write(terminal, b"visible\n")
    wait(b"length 6 visible")
    os.waitpid(process, 0)
    os.close(terminal)
    assert b"hidden" not in seen and seen.count(b"visible") == 2
