"""The same measurements with llama.cpp (llama-cpp-python). usage: MODEL.gguf DECODE_TOKENS PROMPT_TOKENS [CONTEXT]"""

import ctypes
import json
import sys
import time

import llama_cpp


def resident():
    with open("/proc/self/status") as f:
        return {l.split(":")[0]: int(l.split()[1]) / 1024 for l in f if l.startswith(("VmHWM:", "VmRSS:"))}


path, decode_tokens, prompt_tokens = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
context = int(sys.argv[4]) if len(sys.argv) > 4 else 0
start = time.perf_counter()
llm = llama_cpp.Llama(path, n_threads=2, n_threads_batch=2, n_ctx=max(2048, context + decode_tokens + 8), n_batch=512, verbose=False)
result = {"load_ms": (time.perf_counter() - start) * 1e3}
prompt = llm.tokenize(("The quick brown fox jumps over the lazy dog. " * 3).encode(), add_bos=False)


def greedy():
    logits = llama_cpp.llama_get_logits_ith(llm.ctx, -1)
    row = ctypes.cast(logits, ctypes.POINTER(ctypes.c_float * llm.n_vocab())).contents
    import numpy

    return int(numpy.frombuffer(row, dtype=numpy.float32).argmax())


def decode(n):
    llm.reset()
    llm.eval(prompt)
    token = greedy()
    start = time.perf_counter()
    for _ in range(n - 1):
        llm.eval([token])
        token = greedy()
    return (n - 1) / (time.perf_counter() - start)


decode(4)
result["decode"] = max(decode(decode_tokens) for _ in range(3))
result["after_decode_mib"] = resident()["VmRSS"]
ids = [1000 + i * 37 % 40000 for i in range(max(prompt_tokens, context))]
best = 0.0
for _ in range(3):
    llm.reset()
    start = time.perf_counter()
    llm.eval(ids[:prompt_tokens])
    greedy()
    best = max(best, prompt_tokens / (time.perf_counter() - start))
result["prompt"] = best
result["peak_mib"] = resident()["VmHWM"]
if context > 0:
    llm.reset()
    llm.eval(ids[:context])
    token = greedy()
    start = time.perf_counter()
    for _ in range(decode_tokens - 2):
        llm.eval([token])
        token = greedy()
    result["decode_far"] = (decode_tokens - 2) / (time.perf_counter() - start)
print(json.dumps(result))
