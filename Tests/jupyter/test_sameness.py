"""The kernel and a headless run show the same: the transcripts of the documentation, run by both."""

import importlib.util
import json
import subprocess

import pytest
from conftest import LULL, ROOT
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

spec = importlib.util.spec_from_file_location("transcripts", ROOT / "Tests" / "cli" / "test_docs.py")
docs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(docs)
# Those that load models take their time, and would show nothing new.
PAGES = [page for page in docs.PAGES if page.name not in ("models.md", "finetuning.md")]


def shown(outputs):
    """The outputs with the pieces of a stream put together."""
    found = []
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            text = "".join(output["text"])
            if found and found[-1][:2] == (kind, output["name"]):
                text = found.pop()[2] + text
            found.append((kind, output["name"], text))
        elif kind == "error":
            found.append((kind, output["ename"], output["evalue"], list(output["traceback"])))
        else:
            text = output["data"].get("text/plain", "")
            # Pictures may be of random numbers: of other forms, which ones there are.
            data = {**dict.fromkeys(output["data"]), "text/plain": text if isinstance(text, str) else "".join(text)}
            found.append((kind, data, dict(output["metadata"])))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_transcripts(page, tmp_path):
    cells = docs.cells_of(page.read_text())
    notebook = new_notebook(
        cells=[new_code_cell(source) for source, _ in cells], metadata={"kernelspec": {"name": "lull", "display_name": "Lull"}}
    )
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps(notebook))
    subprocess.run(
        [LULL, "run", str(path), "-o", str(tmp_path / "out.ipynb"), "--allow-errors"], check=True, capture_output=True, cwd=ROOT, timeout=300
    )
    headless = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    NotebookClient(notebook, allow_errors=True, resources={"metadata": {"path": str(ROOT)}}).execute()
    for (source, expected), ours, theirs in zip(cells, headless, notebook.cells):
        # Where any lines may come, they are times and the like.
        if "..." not in expected:
            assert shown(theirs.outputs) == shown(ours["outputs"]), source
        assert theirs.execution_count == ours["execution_count"]
