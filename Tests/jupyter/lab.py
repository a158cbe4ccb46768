"""JupyterLab in headless Chromium: a notebook is opened, all its cells are run, and the page is photographed.

Too heavy for `make test`. It needs Debian's chromium and, in an environment of Python, jupyterlab and playwright:

    apt install chromium
    .venv/bin/pip install jupyterlab playwright
    .venv/bin/python Tests/jupyter/lab.py [NOTEBOOK] [DIRECTORY]

NOTEBOOK is notebooks/tour.ipynb or, by default, a small one of every kind of output; the pictures go to DIRECTORY (out/lab).
The exit status is 0 when every cell ran and showed no error.
"""

import json
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
LULL = os.environ.get("LULL", str(ROOT / "lull"))

CELLS = [
    "a = arange(12).reshape(3, 4)\na",
    "import sys\nprint('to standard output')\nprint('to standard error', file=sys.stderr)",
    "from IPython.display import HTML, Markdown, SVG, Math, JSON, Audio, display\n"
    "display(HTML('<table><tr><td><b>HTML</b></td><td>table</td></tr></table>'))\n"
    "display(Markdown('**Markdown** with a [link](https://example.org)'), Math('\\\\sqrt{x^2 + y^2}'))\n"
    "display(SVG('<svg width=\"120\" height=\"40\"><circle cx=\"20\" cy=\"20\" r=\"15\" fill=\"teal\"/>'\n"
    "            '<rect x=\"50\" y=\"8\" width=\"60\" height=\"24\" fill=\"orange\"/></svg>'))\n"
    "display(Audio([sin(i / 5).item() for i in range(2000)], rate=8000))",
    "import time\nbar = display('starting', display_id=True)\nfor i in range(5):\n    time.sleep(0.2)\n    bar.update(f'step {i + 1} of 5')",
    "for i in range(101):\n    print(f'\\rloading {i:3}%', end='')\n    time.sleep(0.01)\nprint()",
    "for i in range(3):\n    clear_output(wait=True)\n    print('only the last:', i)\n    time.sleep(0.1)",
    "softmax?",
    "%time ones((500, 500)) @ ones((500, 500))",
]


def small_notebook(path):
    cells = [
        {"cell_type": "code", "execution_count": None, "id": f"cell-{i}", "metadata": {}, "outputs": [], "source": source}
        for i, source in enumerate(CELLS)
    ]
    spec = {"name": "lull", "display_name": "Lull", "language": "python"}
    path.write_text(json.dumps({"cells": cells, "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 5}))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "out" / "lab")
    out.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="lull-lab-"))
    env = {
        **os.environ, "JUPYTER_DATA_DIR": str(work / "data"), "JUPYTER_CONFIG_DIR": str(work / "config"),
        "JUPYTER_RUNTIME_DIR": str(work / "run"), "JUPYTERLAB_SETTINGS_DIR": str(work / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(work / "workspaces"),
    }
    subprocess.run([LULL, "kernel", "install"], env=env, check=True)
    # As in the source tree, so that a notebook finds what lies beside it.
    place = work / "notebooks"
    place.mkdir()
    if len(sys.argv) > 1 and sys.argv[1]:
        notebook = pathlib.Path(sys.argv[1]).resolve()
        for name in ("models", "notebooks/data"):
            if (ROOT / name).exists():
                os.symlink(ROOT / name, work / name)
        shutil.copy(notebook, place)
        name = notebook.name
    else:
        name = "small.ipynb"
        small_notebook(place / name)
    settings = work / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
    port, token = free_port(), secrets.token_hex(16)
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}", f"--IdentityProvider.token={token}",
         "--ServerApp.port_retries=0", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
         f"--ServerApp.root_dir={work}"],
        env=env, cwd=work, stdout=(work / "server.log").open("w"), stderr=subprocess.STDOUT,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/api/status?token={token}", work)
        with sync_playwright() as p:
            browser = p.chromium.launch(executable_path=shutil.which("chromium") or "/usr/bin/chromium", args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1200, "height": 1600})
            messages = []
            page.on("console", lambda m: messages.append(m.text) if m.type == "error" else None)
            # Nothing but the server is asked.
            page.route("**/*", lambda r: r.continue_() if "127.0.0.1" in r.request.url or not r.request.url.startswith("http") else r.abort())
            page.goto(f"http://127.0.0.1:{port}/lab/tree/notebooks/{name}?token={token}&reset")
            page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
            page.wait_for_selector("#jp-main-statusbar >> text=Lull | Idle", timeout=60_000)
            page.screenshot(path=str(out / "opened.png"))
            page.click("text=Run >> nth=0")
            page.click("text=Run All Cells")
            time.sleep(1.2)
            page.screenshot(path=str(out / "running.png"))
            run_to_the_end(page)
            page.keyboard.press("Control+s")
            time.sleep(1)
            photograph(page, out)
            print("errors on the browser's console:", messages)
            browser.close()
        return check(place / name)
    finally:
        server.terminate()
        server.wait(timeout=20)
        shutil.rmtree(work, ignore_errors=True)


def wait_for(address, work):
    end = time.time() + 60
    while True:
        try:
            return urllib.request.urlopen(address, timeout=2).read()
        except OSError:
            if time.time() > end:
                raise SystemExit("the server does not answer:\n" + (work / "server.log").read_text())
            time.sleep(0.3)


def run_to_the_end(page):
    """Waits until no cell shows [*] and the kernel is idle."""
    end = time.time() + 600
    quiet = 0
    while quiet < 4:
        if time.time() > end:
            raise SystemExit("the notebook did not come to its end")
        busy = page.locator(".jp-InputPrompt").filter(has_text="[*]").count()
        idle = page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").count()
        quiet = quiet + 1 if not busy and idle else 0
        time.sleep(0.5)


def photograph(page, out):
    """The notebook from its beginning to its end, a screen at a time."""
    for old in out.glob("done-*.png"):
        old.unlink()
    scroller = page.locator(".jp-WindowedPanel-outer").first
    scroller.evaluate("e => e.scrollTo(0, 0)")
    for i in range(20):
        time.sleep(0.7)
        page.screenshot(path=str(out / f"done-{i}.png"))
        if scroller.evaluate("e => { const y = e.scrollTop; e.scrollBy(0, e.clientHeight - 80); return e.scrollTop - y }") < 10:
            break


def check(path):
    """What the saved notebook says."""
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    failed = [c for c in cells if any(o["output_type"] == "error" for o in c["outputs"])]
    unrun = [c for c in cells if "".join(c["source"]).strip() and c["execution_count"] is None]
    for c in failed:
        print("failed:", "".join(c["source"])[:80])
    print(f"{len(cells)} cells, {len(failed)} failed, {len(unrun)} not run")
    return 1 if failed or unrun else 0


if __name__ == "__main__":
    sys.exit(main())
