"""The same steps with PyTorch and PEFT. usage: peft_run.py DIRECTORY STEPS [BATCH LENGTH]"""

import json
import resource
import statistics
import sys
import time

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

path, steps = sys.argv[1], int(sys.argv[2])
batch, length = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (4, 256)
torch.set_num_threads(2)
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
model = get_peft_model(model, LoraConfig(r=8, lora_alpha=160, target_modules=names, task_type="CAUSAL_LM"))
model.train()
rows = torch.tensor([[(7 * i + 31 * j * j + 5) % 40000 for i in range(length + 1)] for j in range(batch)])
optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-5)
times, losses = [], []
for _ in range(steps):
    start = time.perf_counter()
    logits = model(rows[:, :-1]).logits
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), rows[:, 1:].reshape(-1))
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    losses.append(loss.item())
    times.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"tokens_per_second": batch * length / statistics.median(times[1:]), "peak_mib": peak, "losses": losses}))
