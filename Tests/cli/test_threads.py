"""Threads from outside: what an exception in one prints, interrupts, ends of programs, threads that wait for each other."""

import signal
import subprocess
import time

from conftest import LULL, wait_for_line


def run(code, cwd):
    return subprocess.run([LULL, "-c", code], capture_output=True, text=True, timeout=30, cwd=cwd)


def interrupted(code, cwd, times=1):
    """Starts a program that prints `ready`, and sends it SIGINT."""
    process = subprocess.Popen(
        [LULL, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd
    )
    try:
        wait_for_line(process, "ready")
        for _ in range(times):
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, out, err


def test_exception(tmp_path):
    done = run(
        "import threading\n"
        "def f(): 1 / 0\n"
        "t = threading.Thread(target=f, name='worker'); t.start(); t.join()\n"
        "print('on', t.is_alive())",
        tmp_path,
    )
    assert done.returncode == 0 and done.stdout == "on False\n"
    assert done.stderr.startswith("Exception in thread worker:\nTraceback (most recent call last):\n")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_end_of_program(tmp_path):
    """The program's own error comes first, then the threads end; daemons need not."""
    start = time.monotonic()
    done = run(
        "import threading, time, sys\n"
        "def f(): time.sleep(0.1); sys.stderr.write('thread ends\\n')\n"
        "threading.Thread(target=f).start()\n"
        "threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n"
        "raise ValueError('own')",
        tmp_path,
    )
    assert done.returncode == 1 and time.monotonic() - start < 20
    assert done.stderr.endswith("ValueError: own\nthread ends\n")


def test_all_wait(tmp_path):
    """Threads that wait for each other are told so."""
    done = run(
        "import threading\n"
        "e = threading.Event()\n"
        "t = threading.Thread(target=e.wait); t.start()\n"
        "try: t.join()\n"
        "except RuntimeError as x: print(x)\n"
        "lock = threading.Lock(); lock.acquire(); e.set(); t.join()\n"
        "try: lock.acquire()\n"
        "except RuntimeError as x: print(x)\n"
        "e.clear(); threading.Thread(target=e.wait).start()",
        tmp_path,
    )
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "all threads wait for each other: waiting would never end",
        "the only thread waits for what only another could bring about: waiting would never end",
    ]
    assert done.stderr == "The threads that are left wait for each other and never end.\n"


HEAD = "import threading, time\nprint('ready', flush=True)\n"
TAIL = "try: t.start(); t.join()\nexcept KeyboardInterrupt: print('interrupted', t.is_alive())\n"


def test_interrupt(tmp_path):
    # A thread that computes ends, and so does the main thread's waiting.
    code = HEAD + "def f():\n    while True: pass\nt = threading.Thread(target=f)\n" + TAIL
    assert interrupted(code, tmp_path) == (0, "interrupted False\n", "")
    # One that sleeps goes on: a daemon until the program ends, any other until a second interrupt.
    code = HEAD + "def f():\n    while True: time.sleep(0.05)\nt = threading.Thread(target=f, daemon={})\n" + TAIL
    assert interrupted(code.format(True), tmp_path) == (0, "interrupted True\n", "")
    assert interrupted(code.format(False), tmp_path, times=2) == (0, "interrupted True\n", "")
    # In a kernel.
    code = (
        HEAD + "import mlx.core as mx\ndef f():\n    while True: mx.eval(mx.random.normal((500, 500)) @ mx.ones((500, 500)))\n"
        "t = threading.Thread(target=f)\n" + TAIL
    )
    assert interrupted(code, tmp_path) == (0, "interrupted False\n", "")


def test_arrays(tmp_path):
    """Arrays, gradients and compiled functions in threads; transforms that wait in the middle."""
    done = run(
        "import threading, time\nimport mlx.core as mx, numpy as np\n"
        "results = {}\n"
        "def slow(x): time.sleep(0.001); return (x * x).sum()\n"
        "def work(n):\n"
        "    f = mx.compile(lambda x: slow(x) + 1, shapeless=n % 2 == 0)\n"
        "    x = mx.full((n,), 2.0)\n"
        "    g = mx.grad(slow)(x)\n"
        "    v = mx.vmap(slow)(mx.ones((3, n)))\n"
        "    a = np.vectorize(lambda y: (time.sleep(0.001), y * 2)[1])(np.arange(3))\n"
        "    results[n] = (f(x).item(), g.tolist(), v.tolist(), a.tolist(), str(np.ones(2)), str(mx.ones(2)), f(x).item())\n"
        "threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]\n"
        "for t in threads: t.start()\n"
        "for t in threads: t.join()\n"
        "for n in range(1, 9):\n"
        "    one, two = results.pop(n), work(n)\n"
        "    assert one == results[n], (one, results[n])\n"
        "    assert one[0] == 4.0 * n + 1 and one[1] == [4.0] * n and one[2] == [float(n)] * 3\n"
        "print(str(np.ones(2)), mx.ones(2))",
        tmp_path,
    )
    assert done.stderr == "" and done.returncode == 0
    assert done.stdout == "[1. 1.] array([1, 1], dtype=float32)\n"
