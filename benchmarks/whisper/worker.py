"""The same as worker.lull with faster-whisper or whisper.cpp: see compare.py."""

import json
import sys
import time

settings = json.loads(sys.argv[1])
start = time.perf_counter()
if settings["engine"] == "faster-whisper":
    from faster_whisper import WhisperModel

    model = WhisperModel(settings["model"], device="cpu", compute_type=settings["compute"], cpu_threads=settings["threads"], num_workers=1)

    def run(file, beam):
        segments, _ = model.transcribe(
            file, language="en", beam_size=beam, temperature=0.0, condition_on_previous_text=False,
            compression_ratio_threshold=None, log_prob_threshold=None, no_speech_threshold=None, vad_filter=False,
        )
        return [(s.start, s.end, s.text) for s in segments]
else:
    import soundfile
    from pywhispercpp.model import Model

    sampling = dict(greedy={"best_of": 1}) if settings["beam"] == 1 else dict(beam_search={"beam_size": settings["beam"], "patience": -1.0})
    model = Model(
        settings["model"], params_sampling_strategy=0 if settings["beam"] == 1 else 1, n_threads=settings["threads"], redirect_whispercpp_logs_to=None,
        print_progress=False, print_realtime=False, language="en", no_context=True, temperature=0.0, temperature_inc=0.0, **sampling,
    )

    def run(file, beam):
        return [(s.t0 / 100, s.t1 / 100, s.text) for s in model.transcribe(soundfile.read(file, dtype="float32")[0])]

print(json.dumps({"load": time.perf_counter() - start}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    start = time.perf_counter()
    found = run(request["file"], request["beam"])
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "text": " ".join(t for _, _, t in found), "segments": [(a, b) for a, b, _ in found]}), flush=True)
