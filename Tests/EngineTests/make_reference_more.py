"""More cases: products, indexing, sorting, random numbers. Run by make_reference.py."""
for d in [mx.float16, mx.bfloat16, mx.float32, mx.complex64]:
    for sa, sb in [((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 3, 4), (4, 5)),
                   ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (3, 4, 2)), ((20, 40), (40, 30)), ((1, 40), (40, 70)), ((0, 4), (4, 5)), ((3, 0), (0, 5))]:
        a, b = values(d, sa, -1, 1), values(d, sb, -1, 1)
        for la in (0, 1):
            for lb in (0, 1, 2):
                case("matmul", [a, b], a @ b, tol=-16 if d == mx.float32 or d == mx.complex64 else -3, layouts=[la, lb])
x = values(mx.float32, (4, 5, 6)); i = mx.array(np.array([[0, 3], [-1, 2]]))
for ax in (0, 1, 2):
    case("take", [x, i], mx.take(x, i, axis=ax), params=[ax], layouts=[1, 0])
case("take_flat", [x, i], mx.take(x, i))
j = mx.array(rng.integers(-4, 4, (3, 5, 6)))
case("take_along", [x, j], mx.take_along_axis(x, j, axis=0), params=[0], layouts=[1, 0])
xn = np.array(x); r = np.array([0, 2, 2]); c = np.array([1, 4, -1])
def ix(k, res, arrays):
    case("index", [x] + [mx.array(np.asarray(a)) for a in arrays], mx.array(np.ascontiguousarray(res)), params=[k])
ix(0, xn[r], [r]); ix(1, xn[:, r], [r]); ix(2, xn[r, c], [r, c]); ix(3, xn[r, :, c], [r, c])
ix(4, xn[1, :, c], [c]); ix(5, xn[:, r, c], [r, c]); ix(6, xn[..., None, 1:3], []); ix(7, xn[xn > 0], [])
ix(8, xn[-1, ::-2], []); ix(9, xn[1:3, r[:, None], c], [r, c]); ix(10, xn[None, r, None, c], [r, c])
def ax(k, f, arrays):
    y = xn.copy(); f(y)
    case("assign", [x] + [mx.array(np.asarray(a)) for a in arrays], mx.array(y), params=[k])
v = rng.normal(size=(3, 6)).astype(np.float32)
def f0(y): y[r, c] = v
def f1(y): np.add.at(y, (r, c), v)
def f2(y): y[1:3, :, r] = 7
def f3(y): y[y > 0] = -1
def f4(y): y[0, 1:4] += 2
def f5(y): np.maximum.at(y, (slice(None), r), np.float32(0.5))
ax(0, f0, [r, c, v]); ax(1, f1, [r, c, v]); ax(2, f2, [r]); ax(3, f3, []); ax(4, f4, []); ax(5, f5, [r])
for d in DT:
    for shape in [(7,), (3, 40), (600,), (20, 3)]:
        if shape == (600,) and d not in WIDE:
            continue
        x = values(d, shape, -50, 50)
        for axis in range(-1, len(shape)):
            case("sort", [x], mx.sort(x, axis=axis), params=[axis], layouts=[1])
            case("argsort_values", [x], mx.sort(x, axis=axis), params=[axis])
x = values(mx.float32, (3000,), -1e3, 1e3)
case("sort", [x], mx.sort(x), params=[0]); case("argsort_values", [x], mx.sort(x), params=[0])
a, b = values(mx.float32, (3, 4)), values(mx.float32, (4, 5))
for s, ops in [("ij,jk->ik", (a, b)), ("ij,jk", (a, b)), ("ij->ji", (a,)), ("ij->", (a,)), ("ij,ij->i", (a, a)), ("i,j->ij", (a[:, 0], b[0])), ("ij,kl->ijkl", (a, b)), ("ii->i", (a[:, :3],)), ("ii", (a[:, :3],)),
               ("bij,bjk->bik", (values(mx.float32, (2, 3, 4)), values(mx.float32, (2, 4, 5)))), ("ij,jk,kl->il", (a, b, b.T))]:
    case("einsum:" + s, list(ops), mx.array(np.einsum(s, *[np.array(o) for o in ops])), tol=300)
case("tensordot", [a, b], mx.tensordot(a, b, 1), params=[1], tol=100)
k = mx.random.key(42); k2 = mx.random.key(2**40 + 5)
for s in (42, 2**40 + 5):
    k = mx.random.key(s); z = mx.array([0])
    case("random.key", [z], k, params=[s])
    case("random.split", [k], mx.random.split(k, 3), params=[3])
    for shape in [(1,), (2,), (7,), (3, 5), (200,)]:
        for d in (mx.float16, mx.bfloat16, mx.float32):
            case("random.uniform", [k], mx.random.uniform(-2, 3, shape, dtype=d, key=k), params=[DT.index(d)] + list(shape), tol=4)
            case("random.normal", [k], mx.random.normal(shape, dtype=d, key=k), params=[DT.index(d)] + list(shape), tol=700)
            case("random.laplace", [k], mx.random.laplace(shape, dtype=d, key=k), params=[DT.index(d)] + list(shape), tol=700)
            case("random.gumbel", [k], mx.random.gumbel(shape, dtype=d, key=k), params=[DT.index(d)] + list(shape), tol=512)
        case("random.randint", [k], mx.random.randint(-50, 1000, shape, key=k), params=list(shape))
        case("random.bernoulli", [k], mx.random.bernoulli(0.3, shape, key=k), params=list(shape))
        case("random.truncated", [k], mx.random.truncated_normal(-1, 2, shape, key=k), params=list(shape), tol=-2000)  # MLX rounds its erf coarsely
    lg = values(mx.float32, (5, 9))
    case("random.categorical", [k, lg], mx.random.categorical(lg, key=k))
    case("random.categorical_count", [k, lg], mx.random.categorical(lg, num_samples=4, key=k))
    case("random.permutation", [k], mx.random.permutation(20, key=k), params=[20])
mx.random.seed(9); u1 = mx.random.uniform(shape=(3,)); u2 = mx.random.normal((2,)); 
case("random.global", [mx.array([0])], [u1, u2], tol=8)
