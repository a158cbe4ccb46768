import sys
import time
import re

t0 = time.perf_counter()

def run(n):
    text = "".join("2024-%02d-%02d user%d@example.org GET /path/%d?x=%d 200\n" % (i % 12 + 1, i % 28 + 1, i, i, i * 3) for i in range(n))
    date = re.compile(r"(\d{4})-(\d\d)-(\d\d)")
    mail = re.compile(r"[a-z0-9]+@([a-z]+)\.(org|com)")
    total = 0
    for line in text.split("\n"):
        m = date.match(line)
        if m:
            total += int(m.group(2)) * int(m.group(3))
        m = mail.search(line)
        if m:
            total += len(m.group(0))
    words = re.findall(r"\w+", text)
    plain = re.sub(r"\d+", "#", text)
    parts = re.split(r"[ /?=]+", text)
    return total, len(words), len(plain), len(parts)


print(run(2000))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
