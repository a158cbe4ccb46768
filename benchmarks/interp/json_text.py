import sys
import time
import json

t0 = time.perf_counter()

def run(n):
    rows = []
    for i in range(n):
        rows.append({"id": i, "name": "item %d" % i, "tags": ["a", "b\n", "\u00e9"], "price": i * 0.25, "ok": i % 2 == 0, "none": None})
    text = json.dumps(rows)
    back = json.loads(text)
    pretty = json.dumps(back[:500], indent=2, sort_keys=True)
    return len(text), back == rows, len(pretty)


print(run(8000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
