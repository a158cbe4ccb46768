import sys
import time

t0 = time.perf_counter()

def solve(n, row, columns, left, right, path):
    if row == n:
        return 1
    count = 0
    for c in range(n):
        if c in columns or row + c in left or row - c in right:
            continue
        columns.add(c)
        left.add(row + c)
        right.add(row - c)
        path.append(c)
        count += solve(n, row + 1, columns, left, right, path)
        path.pop()
        columns.remove(c)
        left.remove(row + c)
        right.remove(row - c)
    return count


print(solve(9, 0, set(), set(), set(), []))

sys.stderr.write("inner %.6f\n" % (time.perf_counter() - t0))
