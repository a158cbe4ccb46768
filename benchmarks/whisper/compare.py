"""Lull against faster-whisper (float32 and int8) and whisper.cpp, interleaved, 2 threads.

usage: compare.py LULL PYTHON LIBRIVOX FLAC [MODEL ...]

PYTHON has faster-whisper, pywhispercpp (built from source with native flags), numpy, soundfile and jiwer. LIBRIVOX is the directory
test/data/librivox of Debian's pocketsphinx-testdata, FLAC the LibriSpeech sample of mlx-examples (- for none). MODELs are
CTranslate2 directories (models/whisper-tiny.en and models/whisper-base without any).

All engines decode with the language given, without temperature fallback and without earlier text as a prompt. Real-time factors are
the best of some rounds, sound file to text; memory is the process's peak.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

here = Path(__file__).resolve().parent
THREADS = 2
LIBRISPEECH = "then the good soul openly shouldered the burden she had borne so long in secret and bravely trudged on alone"


class Worker:
    """A process with a loaded model."""

    def __init__(self, command):
        # pywhispercpp puts its libraries where the loader does not look.
        libraries = ":".join(str(p) for p in Path(command[0]).parent.parent.glob("lib/python*/site-packages"))
        env = {
            **os.environ, "LULL_THREADS": str(THREADS), "OMP_NUM_THREADS": str(THREADS), "LD_LIBRARY_PATH": libraries,
        }
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=env)
        self.load = self.answer()["load"]

    def answer(self):
        while True:
            line = self.process.stdout.readline()
            if not line:
                self.errors.seek(0)
                sys.exit(f"{self.process.args}\n{self.errors.read().decode(errors='replace')[-2000:]}")
            if line.startswith("{"):
                return json.loads(line)

    def ask(self, file, beam):
        self.process.stdin.write(json.dumps({"file": str(file), "beam": beam}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        """The peak of its memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        self.process.stdin.close()
        self.process.wait()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024


def plain(text):
    text = text.lower().replace("mr.", "mister").replace("-", " ")
    return " ".join(re.sub(r"[^a-z' ]", " ", text).split())


def seconds(path):
    if path.suffix == ".flac":
        data = path.read_bytes()
        return (int.from_bytes(data[18:26], "big") & 0xFFFFFFFFF) / 16000
    with wave.open(str(path)) as w:
        return w.getnframes() / w.getframerate()


def recordings(folder, librivox, flac):
    """(name, file, what is said): the read speech as one file, the same over and over for ten minutes, and the FLAC file."""
    texts = {}
    for line in (librivox / "transcription").read_text().splitlines():
        match = re.match(r"<s> (.*) </s> \((.*)\)", line)
        texts[match[2]] = match[1].strip()
    pause = b"\0" * 16000
    parts = {}
    for name in sorted(texts):
        with wave.open(str(librivox / f"{name}.wav")) as w:
            parts[name] = w.readframes(w.getnframes())

    def write(path, least):
        sound, words = b"", []
        while not words or len(sound) < least * 32000:
            for name, data in parts.items():
                sound += data + pause
                words.append(texts[name])
        with wave.open(str(path), "wb") as w:
            w.setparams((1, 2, 16000, 0, "NONE", ""))
            w.writeframes(sound)
        return path, " ".join(words)

    found = [("read speech", *write(folder / "read.wav", 0)), ("ten minutes", *write(folder / "ten.wav", 600))]
    if flac is not None:
        found.insert(0, ("LibriSpeech", flac, LIBRISPEECH))
    return found


def main():
    import jiwer

    lull, python, librivox = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    flac = None if sys.argv[4] == "-" else Path(sys.argv[4])
    models = sys.argv[5:] or ["models/whisper-tiny.en", "models/whisper-base"]
    rounds = int(os.environ.get("ROUNDS", "3"))
    beams = [int(n) for n in os.environ.get("BEAMS", "1 5").split()]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        sounds = recordings(folder, librivox, flac)
        for model in models:
            ggml = folder / f"{Path(model).name}.bin"
            subprocess.run([sys.executable, str(here / "to_ggml.py"), model, str(ggml)], check=True)
            for beam in beams:
                compare(lull, python, model, ggml, beam, sounds, rounds, jiwer)


def compare(lull, python, model, ggml, beam, sounds, rounds, jiwer):
    def command(settings, own=False):
        settings = json.dumps({"model": model, "threads": THREADS, "beam": beam, **settings})
        return [lull, str(here / "worker.lull"), settings] if own else [python, str(here / "worker.py"), settings]

    commands = {
        "Lull": command({}, True),
        "Lull, 8 bits": command({"q_bits": 8}, True),
        "faster-whisper f32": command({"engine": "faster-whisper", "compute": "float32"}),
        "faster-whisper int8": command({"engine": "faster-whisper", "compute": "int8"}),
        "whisper.cpp": command({"engine": "whisper.cpp", "model": str(ggml)}),
    }
    print(f"\n{Path(model).name}, beam {beam}, {THREADS} threads: real-time factor (x of Lull's), word error rate, peak MiB")
    for name, file, said in sounds:
        length = seconds(file)
        workers = {engine: Worker(c) for engine, c in commands.items()}
        best, texts = {}, {}
        for i in range(1 if length > 100 else rounds + 1):
            for engine, worker in workers.items():
                answer = worker.ask(file, beam)
                if i > 0 or length > 100:
                    best[engine] = min(best.get(engine, 1e9), answer["seconds"])
                texts[engine] = answer["text"]
        for engine, worker in workers.items():
            peak = worker.end()
            error = jiwer.wer(plain(said), plain(texts[engine]))
            factor = best[engine] / length
            print(f"{name:12} {engine:20} {factor:8.4f} {best[engine] / best['Lull']:6.2f} {100 * error:7.1f}% {peak:7.0f}", flush=True)


main()
