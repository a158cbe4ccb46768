"""Samplers and logits processors. The program runs under mlx-lm and under Lull and must print the same."""

import mlx.core as mx
from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p, apply_xtc, make_logits_processors, make_sampler


def logprobs(rows, vocabulary):
    mx.random.seed(11)
    x = mx.random.normal((rows, vocabulary)) * 2
    return x - mx.logsumexp(x, axis=-1, keepdims=True)


def row(x):
    return [round(v, 3) for v in x.tolist()[0]]


for settings in [
    dict(),
    dict(temp=1.0),
    dict(temp=0.7, top_p=0.8),
    dict(temp=1.3, min_p=0.1),
    dict(temp=2.0, min_p=0.5, min_tokens_to_keep=4),
    dict(temp=1.0, top_k=5),
    dict(temp=1.0, xtc_probability=0.5, xtc_threshold=0.05, xtc_special_tokens=[3, 7]),
    dict(temp=0.9, top_p=0.9, min_p=0.05, top_k=10, xtc_probability=0.7, xtc_threshold=0.04),
]:
    x = logprobs(8, 64)
    sampler = make_sampler(**settings)
    mx.random.seed(5)
    print(settings, [sampler(x).tolist() for _ in range(3)])

x = logprobs(1, 6)
mx.random.seed(3)
print(row(apply_top_p(x, 0.6)), row(apply_top_p(x, 0.95)))
print(row(apply_min_p(x, 0.05)), row(apply_min_p(x, 0.9, 3)))
print(row(apply_top_k(x, 2)))
print([row(apply_xtc(x, 0.5, 0.05, [])) for _ in range(4)])

for settings in [
    dict(logit_bias={1: 2.5, 4: -1.0}),
    dict(repetition_penalty=1.5),
    dict(repetition_penalty=1.5, repetition_context_size=2),
    dict(presence_penalty=0.5),
    dict(presence_penalty=0.5, presence_context_size=1),
    dict(frequency_penalty=0.25, frequency_context_size=3),
    dict(repetition_penalty=0.0),
    dict(logit_bias={0: 1.0}, repetition_penalty=1.2, presence_penalty=0.1, frequency_penalty=0.2),
]:
    logits = mx.array([[1.0, -1.0, 2.0, 0.5, -3.0, 0.0]])
    for processor in make_logits_processors(**settings):
        logits = processor(mx.array([1, 2, 1, 1, 4]), logits)
    print(settings, row(logits))
