// The native half of `heapq`: a list kept as a binary heap. A comparison may run user code, which may
// change the list: every index is checked again after one.

private func less(_ a: Value, _ b: Value) throws(LullError) -> Bool {
  if a.tag == .int, b.tag == .int { return a.asInt < b.asInt }
  if a.tag == .float, b.tag == .float { return a.asDouble < b.asDouble }
  if a.tag == .tuple, b.tag == .tuple, a.tuple.pointee.count > 0, b.tuple.pointee.count > 0 {
    // The first numbers that differ decide.
    let p = a.tuple
    let q = b.tuple
    let n = min(p.pointee.count, q.pointee.count)
    var k = 0
    while k < n {
      let x = p.items[k]
      let y = q.items[k]
      if x.tag == .int, y.tag == .int {
        if x.asInt != y.asInt { return x.asInt < y.asInt }
      } else if x.tag == .float, y.tag == .float {
        if x.asDouble < y.asDouble || x.asDouble > y.asDouble { return x.asDouble < y.asDouble }
        if x.asDouble.isNaN || y.asDouble.isNaN { break }
      } else {
        break
      }
      k &+= 1
    }
    if k == n { return p.pointee.count < q.pointee.count }
  }
  a.retained()
  b.retained()
  defer {
    a.release()
    b.release()
  }
  let r = try compare(.less, a, b)
  return r.tag == .bool ? r.asBool : try truthReleasing(r)
}
/// `heap[i] < heap[j]` of a heap of `n`.
private func less(_ heap: ListPtr, _ i: Int, _ j: Int, _ n: Int) throws(LullError) -> Bool {
  let r = try less(heap.pointee.items[i], heap.pointee.items[j])
  if heap.pointee.count != n {
    throw LullError.runtime("list changed size during iteration")
  }
  return r
}
private func swapItems(_ heap: ListPtr, _ i: Int, _ j: Int) {
  let items = heap.pointee.items
  let v = items[i]
  items[i] = items[j]
  items[j] = v
}
/// Moves an item towards the root while it is less than its parent.
private func rise(_ heap: ListPtr, from start: Int, _ at: Int) throws(LullError) {
  let n = heap.pointee.count
  var at = at
  while at > start {
    let parent = (at - 1) / 2
    if !(try less(heap, at, parent, n)) { return }
    swapItems(heap, at, parent)
    at = parent
  }
}
/// Moves the smaller children up to `at`, then what was there up to its place.
private func sink(_ heap: ListPtr, _ start: Int) throws(LullError) {
  let n = heap.pointee.count
  var at = start
  while 2 * at + 1 < n {
    var child = 2 * at + 1
    if child + 1 < n, !(try less(heap, child, child + 1, n)) { child += 1 }
    swapItems(heap, at, child)
    at = child
  }
  try rise(heap, from: start, at)
}
/// The least item (owned) of a heap that has one; `item` (owned) takes its place and sinks to its own.
private func replaceLeast(_ heap: ListPtr, with item: Value) throws(LullError) -> Value {
  let least = heap.pointee.items[0]
  heap.pointee.items[0] = item
  do throws(LullError) { try sink(heap, 0) } catch {
    least.release()
    throw error
  }
  return least
}
private func heap(_ a: Args) throws(LullError) -> ListPtr {
  guard let l = a[0].asList else {
    let place = ["heapify", "heappop"].contains(a.functionName) ? "argument" : "argument 1"
    throw LullError.typeError("\(a.functionName)() \(place) must be list, not \(typeName(a[0]))")
  }
  return l
}
private func full(_ a: Args) throws(LullError) -> ListPtr {
  let l = try heap(a)
  if l.pointee.count == 0 { throw LullError.index("index out of range") }
  return l
}

func heapModule() -> NativeModule {
  NativeModule(builtins: [
    Builtin(
      "heappush", "heappush(heap, item, /)", doc: "Put an item on a heap.",
      examples: [
        ">>> import heapq\n>>> heap = [2, 5]\n>>> heapq.heappush(heap, 1)\n>>> heap\n[1, 5, 2]"
      ]
    ) { (a) throws(LullError) in
      let l = try heap(a)
      l.append(a[1].retained())
      try rise(l, from: 0, l.pointee.count - 1)
      return .none
    },
    Builtin(
      "heappop", "heappop(heap, /)", doc: "Take the smallest item off a heap.",
      examples: [
        ">>> import heapq\n>>> heap = [1, 5, 2]\n>>> heapq.heappop(heap), heap\n(1, [2, 5])"
      ]
    ) { (a) throws(LullError) in
      let l = try full(a)
      let last = l.remove(at: l.pointee.count - 1)
      if l.pointee.count == 0 { return last }
      return try replaceLeast(l, with: last)
    },
    Builtin(
      "heapify", "heapify(heap, /)", doc: "Make a list a heap: its smallest item is the first.",
      examples: [">>> import heapq\n>>> x = [5, 2, 1]\n>>> heapq.heapify(x)\n>>> x\n[1, 2, 5]"]
    ) { (a) throws(LullError) in
      let l = try heap(a)
      var i = l.pointee.count / 2
      while i > 0, i <= l.pointee.count {
        i -= 1
        try sink(l, i)
      }
      return .none
    },
    Builtin(
      "heapreplace", "heapreplace(heap, item, /)",
      doc: "Take the smallest item off, then put another on.",
      examples: [
        ">>> import heapq\n>>> heap = [1, 5, 2]\n>>> heapq.heapreplace(heap, 9), heap\n(1, [2, 5, 9])"
      ]
    ) { (a) throws(LullError) in
      let l = try full(a)
      return try replaceLeast(l, with: a[1].retained())
    },
    Builtin(
      "heappushpop", "heappushpop(heap, item, /)",
      doc: "Put an item on, then take the smallest off.",
      examples: [
        ">>> import heapq\n>>> heap = [1, 5, 2]\n>>> heapq.heappushpop(heap, 0), heap\n(0, [1, 5, 2])"
      ]
    ) { (a) throws(LullError) in
      let l = try heap(a)
      if l.pointee.count == 0 { return a[1].retained() }
      if !(try less(l.pointee.items[0], a[1])) { return a[1].retained() }
      if l.pointee.count == 0 { throw LullError.index("index out of range") }
      return try replaceLeast(l, with: a[1].retained())
    },
  ])
}
