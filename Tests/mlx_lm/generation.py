"""Generation with the small models. The program runs under mlx-lm and under Lull and must print the same.

The arguments are two model directories with the same vocabulary.
"""

import sys

import mlx.core as mx
from mlx_lm import batch_generate, load
from mlx_lm.generate import generate_step, speculative_generate_step, stream_generate
from mlx_lm.models.cache import RotatingKVCache, make_prompt_cache
from mlx_lm.perplexity import eval_ppl
from mlx_lm.sample_utils import make_logits_processors, make_sampler

model, tokenizer = load(sys.argv[1])
draft, _ = load(sys.argv[2])
ids = [289, 12, 40, 7, 100, 5, 6, 40, 7, 100]
prompt = mx.array(ids)


def tokens(steps):
    return [step[0] for step in steps]


print("greedy", tokens(generate_step(prompt, model, max_tokens=12)))
print("pieces", tokens(generate_step(prompt, model, max_tokens=12, prefill_step_size=4)))
calls = []
tokens(generate_step(prompt, model, max_tokens=1, prefill_step_size=4, prompt_progress_callback=lambda *a: calls.append(a)))
print("progress", calls)
token, logprobs = next(generate_step(prompt, model))
print("logprobs", token, logprobs.shape, [round(x, 2) for x in logprobs[:4].tolist()])

for settings in [dict(temp=1.0), dict(temp=0.8, top_p=0.9), dict(temp=1.5, top_k=20, min_p=0.02)]:
    mx.random.seed(17)
    print(settings, tokens(generate_step(prompt, model, max_tokens=12, sampler=make_sampler(**settings))))

for settings in [
    dict(repetition_penalty=1.3), dict(presence_penalty=2.0, frequency_penalty=1.5), dict(logit_bias={7: 9.0})
]:
    processors = make_logits_processors(**settings)
    print(settings, tokens(generate_step(prompt, model, max_tokens=12, logits_processors=processors)))

for size in (6, 9, 16):
    for step in (1, 3, 2048):
        window = [RotatingKVCache(max_size=size, keep=4) for _ in model.layers]
        print("window", size, step, tokens(generate_step(prompt, model, max_tokens=9, prompt_cache=window, prefill_step_size=step)))
for bits in (4, 8):
    for start in (0, 12):
        settings = dict(kv_bits=bits, kv_group_size=32, quantized_kv_start=start)
        print(settings, tokens(generate_step(prompt, draft, max_tokens=9, **settings)))

for k in (1, 2, 5):
    steps = list(speculative_generate_step(prompt, model, draft, num_draft_tokens=k, max_tokens=12))
    print("drafts", k, tokens(steps), [step[2] for step in steps])
steps = list(speculative_generate_step(prompt, model, model, num_draft_tokens=3, max_tokens=12))
print("own drafts", tokens(steps), [step[2] for step in steps])
mx.random.seed(17)
sampler = make_sampler(temp=0.7)
steps = list(speculative_generate_step(prompt, model, model, num_draft_tokens=3, max_tokens=12, sampler=sampler))
print("drawn drafts", tokens(steps), [step[2] for step in steps])

cache = make_prompt_cache(model)
first = tokens(generate_step(prompt, model, max_tokens=3, prompt_cache=cache))
print("cache", first, cache[0].offset, tokens(generate_step(mx.array([9, 8]), model, max_tokens=6, prompt_cache=cache)))

responses = list(stream_generate(model, tokenizer, ids, max_tokens=4))
print([(r.token, r.prompt_tokens, r.generation_tokens, r.from_draft, r.finish_reason) for r in responses])
print(repr("".join(r.text for r in responses)))

prompts = [ids, ids[:1], ids[3:5], ids[2:9]]
response = batch_generate(model, tokenizer, prompts, max_tokens=[8, 6, 3, 8], return_token_ids=True, return_logprobs=True)
print("batch", response.token_ids, [[round(x, 2) for x in row] for row in response.logprobs])
print(response.stats.generation_tokens)

mx.random.seed(7)
ppl, error = eval_ppl(model, mx.random.randint(0, 320, (6, 40)), batch_size=4)
print("perplexity", round(ppl, 1), round(error, 1))
