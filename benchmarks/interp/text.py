import sys
import time

t0 = time.perf_counter()

def run(n):
    out = []
    counts = {}
    for i in range(n):
        line = "Name%d, city %d ; value=%d" % (i, i % 10, i * 7)
        head, _, tail = line.partition(";")
        fields = [p.strip() for p in head.split(",")]
        key = fields[1].title().replace(" ", "_")
        counts[key] = counts.get(key, 0) + 1
        if line.startswith("Name1") and tail.endswith("7"):
            out.append(fields[0].lower() + ":" + tail.strip().split("=")[1])
        for ch in fields[0]:
            if ch.isdigit():
                counts[ch] = counts.get(ch, 0) + 1
        out.append(line[::-1][:5].upper())
        out.append(",".join(sorted(fields)))
    text = "\n".join(out)
    return len(text), text.count("a"), text.find("zzz"), sorted(counts.items())[:3]


print(run(25000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
