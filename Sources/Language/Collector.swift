// The collector of cycles.
//
// Counts free everything but cycles. This finds those by trial deletion: the counts of all objects are copied, one is
// taken off for each reference that an object owns, and whatever stays above zero is held from outside (registers,
// frames, native code), so no list of roots is needed. What those do not reach is garbage.
//
// Objects are met by walking the chunks of the allocator (Value.swift); objects above 512 bytes lie outside of them and
// count as outside holders, which keeps garbage but never frees what lives. `eachReference` lists the references that
// an object owns, the same that `destroyNow` gives up: forgetting one keeps garbage too; naming one that is not
// owned would be an error, so a count below zero ends the run.
//
// It runs where the machine looks at the interrupt flag, when there are twice as many chunks of objects as after the
// last run, so that its cost stays a part of what making them cost. Garbage generators that still have a `finally` or a `with` to run are closed first and wait for the next run.
import Glibc

let chunkBytes = 65536

/// The chunks lie one behind the other in one reserved range of addresses, which the system fills page by page.
private struct Chunks {
  var base: UnsafeMutableRawPointer
  var count = 0
  let limit: Int
  /// Units of 16 bytes a place; 0x8000 marks storage, 0 a chunk that is in no use. By chunk.
  var kinds: UnsafeMutablePointer<UInt16>
  var objectChunks = 0
  /// Those in no use below `count`; their pages were given back.
  var empty: [Int] = []
}
@exclusivity(unchecked) nonisolated(unsafe) private var chunks: Chunks? = nil
@exclusivity(unchecked) nonisolated(unsafe) private var isReserved = false

private func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
  let p = mmap(
    nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
  return p == MAP_FAILED ? nil : p
}
private func reserveChunks() {
  isReserved = true
  // Less where addresses are limited.
  for gibibytes in [64, 8, 1] {
    let limit = gibibytes << 30 / chunkBytes
    guard let base = map(limit * chunkBytes) else { continue }
    guard let kinds = map(limit * 2) else {
      munmap(base, limit * chunkBytes)
      continue
    }
    chunks = Chunks(
      base: base, limit: limit, kinds: kinds.bindMemory(to: UInt16.self, capacity: limit))
    return
  }
}

/// 64 KiB for places of one size. When the range is used up they come from malloc and are not walked.
func takeChunk(units: Int, isStorage: Bool) -> UnsafeMutableRawPointer {
  if !isReserved { reserveChunks() }
  guard var c = chunks, c.count < c.limit || !c.empty.isEmpty else {
    return allocateRaw(chunkBytes)
  }
  chunks = nil  // so that the list of empty ones is not copied
  let index = c.empty.popLast() ?? c.count
  let p = c.base + index * chunkBytes
  c.kinds[index] = UInt16(truncatingIfNeeded: units) | (isStorage ? 0x8000 : 0)
  // Programs that fill many get large pages: one fault in place of 512. Clearing one costs what a small program runs
  // for where the system's memory is not at hand (10 ms in a virtual machine), so not before 32 MiB.
  if index == c.count {
    if index == 512 { madvise(p, (c.limit - index) * chunkBytes, 14 /* MADV_HUGEPAGE */) }
    c.count += 1
  }
  if !isStorage {
    c.objectChunks += 1
    if c.objectChunks >= nextCollection, isEnabled { askForCollection() }
  }
  chunks = c
  return p
}

/// Calls of `releaseEmptyChunks` that do nothing: how many are left, and how many follow the next look in vain.
@exclusivity(unchecked) nonisolated(unsafe) private var restingCalls = (left: 0, next: 1)

/// Gives the memory of chunks that hold nothing back to the system, and the chunks to places of any size. Called
/// between programs, for 64 MiB and more: looking costs some 10 ns for each free place.
func releaseEmptyChunks() {
  guard var c = chunks, c.count - c.empty.count >= 1024 else { return }
  if restingCalls.left > 0 {
    restingCalls.left -= 1
    return
  }
  let before = c.empty.count
  var free = [UInt16](repeating: 0, count: c.count)  // free places by chunk
  func chunk(_ p: UnsafeMutableRawPointer) -> Int? {
    let offset = p - c.base
    return offset >= 0 && offset < c.count * chunkBytes ? offset >> 16 : nil
  }
  eachFreePlace { if let k = chunk($0) { free[k] += 1 } }
  // Chunks with places that were never used are those that the next objects go to.
  eachUnfinishedChunk { if let k = chunk($0) { free[k] = 0 } }
  var isEmpty = [Bool](repeating: false, count: c.count)
  for k in 0..<c.count where c.kinds[k] != 0 {
    isEmpty[k] = Int(free[k]) == chunkBytes / (Int(c.kinds[k] & 0x7FFF) * 16)
  }
  keepFreePlaces { p in chunk(p).map { !isEmpty[$0] } ?? true }
  var k = 0
  while k < c.count {
    let first = k
    while k < c.count, isEmpty[k] {
      if c.kinds[k] & 0x8000 == 0 { c.objectChunks -= 1 }
      c.kinds[k] = 0
      c.empty.append(k)
      k += 1
    }
    if k > first { madvise(c.base + first * chunkBytes, (k - first) * chunkBytes, MADV_DONTNEED) }
    k = max(k, first + 1)
  }
  let isInVain = c.empty.count - before < (c.count - before) / 8
  restingCalls = isInVain ? (restingCalls.next, min(restingCalls.next * 2, 16)) : (0, 1)
  nextCollection = max(64, c.objectChunks * 2)
  chunks = c
}

// MARK: - When

@exclusivity(unchecked) nonisolated(unsafe) private var isEnabled = true
@exclusivity(unchecked) nonisolated(unsafe) private var isCollecting = false
/// The number of chunks of objects at which it runs: 4 MiB, or twice what the last run left.
@exclusivity(unchecked) nonisolated(unsafe) private var nextCollection = 64
@exclusivity(unchecked) nonisolated(unsafe) private var collections = 0

private func askForCollection() {
  // An interrupt that waits goes first; the next chunk asks again.
  if vm.pointee.interruptFlag == 0 { vm.pointee.interruptFlag = Request.collection }
}
func collectWhenAsked() {
  if isEnabled { _ = collectCycles() }
}

// MARK: - References

/// Calls `body` for each reference that an object owns.
@inline(__always)
private func eachReference(_ h: UnsafeMutablePointer<Header>, _ body: (Value) -> Void) {
  let p = UnsafeMutableRawPointer(h)
  var size = 0
  switch h.pointee.kind {
  case .instance:
    let o = p.assumingMemoryBound(to: InstanceBody.self)
    for i in 0..<o.pointee.shape.pointee.count { body(o.pointee.slots[i]) }
    body(Value(h.pointee.type))
  case .list:
    let l = p.assumingMemoryBound(to: ListBody.self)
    for i in 0..<l.pointee.count { body(l.pointee.items[i]) }
    size = MemoryLayout<ListBody>.size
  case .tuple:
    let t = p.assumingMemoryBound(to: TupleBody.self)
    for i in 0..<t.pointee.count { body(t.items[i]) }
    size = TupleBody.headSize + t.pointee.count * 16
  case .dict:
    let d = p.assumingMemoryBound(to: DictBody.self)
    for i in 0..<d.pointee.used where !d.pointee.entries[i].key.isUndefined {
      body(d.pointee.entries[i].key)
      body(d.pointee.entries[i].value)
    }
    size = MemoryLayout<DictBody>.size
  case .set:
    let s = p.assumingMemoryBound(to: SetBody.self)
    for i in 0...s.pointee.mask { body(s.pointee.table[i].key) }
    size = MemoryLayout<SetBody>.size
  case .boundMethod:
    let b = p.assumingMemoryBound(to: BoundMethodBody.self)
    body(b.pointee.receiver)
    body(b.pointee.function)
  case .cell: body(p.assumingMemoryBound(to: CellBody.self).pointee.value)
  case .slice:
    let s = p.assumingMemoryBound(to: SliceBody.self)
    body(s.pointee.start)
    body(s.pointee.stop)
    body(s.pointee.step)
  case .function:
    let f = p.assumingMemoryBound(to: FunctionBody.self)
    body(f.pointee.globals)
    body(f.pointee.defaults)
    body(f.pointee.keywordDefaults)
    body(f.pointee.dict)
    body(f.pointee.annotations)
    if let cells = f.pointee.cells { for i in 0..<f.pointee.cellCount { body(cells[i]) } }
  case .generator:
    let g = p.assumingMemoryBound(to: GeneratorBody.self)
    // The registers of a running one belong to the machine.
    if let f = g.pointee.frame, !g.pointee.isRunning {
      for i in 0..<f.pointee.registerCount { body(f.pointee.regs[i]) }
      if let slot = f.pointee.calleeSlot { body(slot.pointee) }
    }
    body(g.pointee.returned)
  case .iterator:
    let i = p.assumingMemoryBound(to: IteratorBody.self)
    body(i.pointee.a)
    body(i.pointee.b)
  case .exception:
    let e = p.assumingMemoryBound(to: ExceptionBody.self)
    body(e.pointee.args)
    body(e.pointee.cause)
    body(e.pointee.context)
    body(e.pointee.dict)
    body(Value(h.pointee.type))
  case .native:
    let n = p.assumingMemoryBound(to: NativeBody.self)
    body(n.pointee.dict)
    if let references = h.pointee.type.pointee.native?.references {
      for v in references(n.pointee.object) { body(v) }
    }
    size = MemoryLayout<NativeBody>.size
  case .property, .staticMethod, .classMethod:
    let w = p.assumingMemoryBound(to: WrapperBody.self)
    body(w.pointee.a)
    body(w.pointee.b)
    body(w.pointee.c)
    body(w.pointee.doc)
  case .superObject:
    let s = p.assumingMemoryBound(to: SuperBody.self)
    body(s.pointee.receiver)
    body(Value(s.pointee.type))
  case .dictView: body(p.assumingMemoryBound(to: DictViewBody.self).pointee.dict)
  case .module: body(p.assumingMemoryBound(to: ModuleBody.self).pointee.dict)
  case .type:
    let t = p.assumingMemoryBound(to: TypeBody.self)
    body(t.pointee.dict)
    if let base = t.pointee.base { body(Value(base)) }
  case .str: size = StrBody.headSize + p.assumingMemoryBound(to: StrBody.self).pointee.capacity
  case .bigInt: size = MemoryLayout<BigIntBody>.size
  case .bytes: size = MemoryLayout<BytesBody>.size
  case .float: size = MemoryLayout<ComplexBody>.size
  default: break
  }
  if h.pointee.flags & Header.flagTrailingDict != 0, size > 0 {
    body(p.load(fromByteOffset: (size + 15) & ~15, as: Value.self))
    body(Value(h.pointee.type))
  }
}

/// Whether objects of a kind own references; others are not looked at.
private func ownsReferences(_ h: UnsafeMutablePointer<Header>) -> Bool {
  switch h.pointee.kind {
  case .str, .bigInt, .bytes, .float, .complex: h.pointee.flags & Header.flagTrailingDict != 0
  case .range, .builtin, .code: false
  default: true
  }
}

// MARK: - One run

private struct Run {
  let chunks: Chunks
  /// The number of the first place of each chunk; chunks of storage have none.
  var firsts: [Int] = []
  /// 2^32 divided by the size of a chunk's places, rounded up: the place of an offset without a division.
  var reciprocals: [UInt64] = []
  var placeCount = 0

  init(_ chunks: Chunks) {
    self.chunks = chunks
    for c in 0..<chunks.count {
      firsts.append(placeCount)
      let size = UInt64(max(1, chunks.kinds[c] & 0x7FFF)) * 16
      reciprocals.append(((1 << 32) + size - 1) / size)
      if holdsObjects(c) { placeCount += chunkBytes / (Int(chunks.kinds[c]) * 16) }
    }
  }

  private func holdsObjects(_ c: Int) -> Bool {
    chunks.kinds[c] & 0x8000 == 0 && chunks.kinds[c] != 0
  }
  /// Calls `body` with each object that owns references, and its place.
  @inline(__always) func eachObject(_ body: (UnsafeMutablePointer<Header>, Int) -> Void) {
    for c in 0..<chunks.count where holdsObjects(c) {
      let size = Int(chunks.kinds[c]) * 16
      let start = chunks.base + c * chunkBytes
      for k in 0..<(chunkBytes / size) {
        let h = (start + k * size).assumingMemoryBound(to: Header.self)
        if h.pointee.count > 0, ownsReferences(h) { body(h, firsts[c] + k) }
      }
    }
  }
  /// The place of an object that lies in a chunk.
  @inline(__always) func place(_ v: Value) -> Int? {
    guard v.isHeap else { return nil }
    let offset = v.raw - chunks.base
    guard offset >= 0, offset < chunks.count * chunkBytes else { return nil }
    let c = offset >> 16
    return firsts[c] + Int((UInt64(offset & (chunkBytes - 1)) &* reciprocals[c]) >> 32)
  }

  /// The objects that nothing outside reaches.
  func garbage() -> [UnsafeMutablePointer<Header>] {
    var counts = [Int32](repeating: 0, count: placeCount)
    counts.withUnsafeMutableBufferPointer { counts in
      eachObject { h, k in
        let isRunning =
          h.pointee.kind == .generator
          && UnsafeMutableRawPointer(h).assumingMemoryBound(to: GeneratorBody.self).pointee
            .isRunning
        counts[k] = isRunning ? immortal : h.pointee.count
      }
      eachObject { h, _ in
        eachReference(h) { v in
          if let k = place(v) { counts[k] &-= 1 }
        }
      }
      var waiting: [UnsafeMutablePointer<Header>] = []
      let reached = Int32.max
      eachObject { h, k in
        if counts[k] > 0, counts[k] != reached {
          counts[k] = reached
          waiting.append(h)
          while let next = waiting.popLast() {
            eachReference(next) { v in
              guard let k = place(v), counts[k] != reached else { return }
              counts[k] = reached
              waiting.append(v.header)
            }
          }
        }
      }
    }
    var found: [UnsafeMutablePointer<Header>] = []
    var isSound = true
    eachObject { h, k in
      if counts[k] < 0 { isSound = false }
      if counts[k] == 0 { found.append(h) }
    }
    return isSound ? found : []
  }
}

/// Frees the cycles that nothing reaches; how many objects they had.
@discardableResult func collectCycles() -> Int {
  guard !isCollecting, let known = chunks else { return 0 }
  isCollecting = true
  defer { isCollecting = false }
  collections += 1
  var total = 0
  // Closing generators may give birth to garbage or bring some back: look again, but not for ever.
  for _ in 0..<4 {
    let found = Run(chunks ?? known).garbage()
    if found.isEmpty { break }
    for h in found { h.pointee.count &+= 1 }
    if closeGenerators(found) {
      for h in found { Value(tag: valueTag(h), bits: UInt64(UInt(bitPattern: h))).release() }
      continue
    }
    total += found.count
    let callbacks = clearWeakReferences(within: found)
    for h in found { letGo(h) }
    for h in found { Value(tag: valueTag(h), bits: UInt64(UInt(bitPattern: h))).release() }
    runWeakCallbacks(callbacks)
  }
  if let c = chunks { nextCollection = max(64, c.objectChunks * 2) }
  return total
}

/// The tag of a value that refers to an object.
private func valueTag(_ h: UnsafeMutablePointer<Header>) -> Tag {
  h.pointee.flags & Header.flagTrailingDict != 0 ? .derived : h.pointee.kind
}

/// Closes suspended generators that have something to do at their end; whether there were any.
private func closeGenerators(_ found: [UnsafeMutablePointer<Header>]) -> Bool {
  var any = false
  for h in found where h.pointee.kind == .generator {
    let g = UnsafeMutableRawPointer(h).assumingMemoryBound(to: GeneratorBody.self)
    guard let f = g.pointee.frame, g.pointee.isStarted, !g.pointee.isRunning,
      !f.pointee.head.pointee.ranges.isEmpty
    else { continue }
    any = true
    do throws(LullError) { try closeGenerator(g) } catch {}
    // One that goes on in spite of it is not asked again.
    if g.pointee.frame != nil, !g.pointee.isRunning { freeGeneratorFrame(g) }
  }
  return any
}

/// Gives up the references by which an object can be part of a cycle. Tuples, methods and the like keep theirs: each
/// cycle has one of these in it.
private func letGo(_ h: UnsafeMutablePointer<Header>) {
  let p = UnsafeMutableRawPointer(h)
  func drop(_ slot: inout Value, _ new: Value = .none) {
    let old = slot
    slot = new
    old.release()
  }
  switch h.pointee.kind {
  case .list: p.assumingMemoryBound(to: ListBody.self).clear()
  case .dict: p.assumingMemoryBound(to: DictBody.self).clear()
  case .set: p.assumingMemoryBound(to: SetBody.self).clear()
  case .instance:
    let o = p.assumingMemoryBound(to: InstanceBody.self)
    for i in 0..<o.pointee.shape.pointee.count { drop(&o.pointee.slots[i]) }
  case .cell: drop(&p.assumingMemoryBound(to: CellBody.self).pointee.value, .undefined)
  case .generator: freeGeneratorFrame(p.assumingMemoryBound(to: GeneratorBody.self))
  case .exception:
    let e = p.assumingMemoryBound(to: ExceptionBody.self)
    drop(&e.pointee.cause)
    drop(&e.pointee.context)
  case .iterator:
    let i = p.assumingMemoryBound(to: IteratorBody.self)
    i.pointee.kind = .native
    i.pointee.step2 = { (_) throws(LullError) in .undefined }
    drop(&i.pointee.a, .undefined)
    drop(&i.pointee.b, .undefined)
  default: break
  }
}

// MARK: - The module

func collectorModule() -> NativeModule {
  NativeModule(builtins: [
    Builtin(
      "collect", "collect()", chapter: "gc",
      doc: "Free the cycles that nothing reaches; how many objects they had.",
      examples: [">>> import gc\n>>> gc.collect() >= 0\nTrue"]
    ) {
      (_) throws(LullError) in Value(collectCycles())
    },
    Builtin(
      "enable", "enable()", chapter: "gc", doc: "Let it run by itself.",
      examples: [">>> import gc\n>>> gc.enable()\n>>> gc.isenabled()\nTrue"]
    ) { (_) throws(LullError) in
      isEnabled = true
      return .none
    },
    Builtin(
      "disable", "disable()", chapter: "gc", doc: "Run on demand only.",
      examples: [">>> import gc\n>>> gc.disable()\n>>> gc.isenabled()\nFalse\n>>> gc.enable()"]
    ) { (_) throws(LullError) in
      isEnabled = false
      return .none
    },
    Builtin(
      "isenabled", "isenabled()", chapter: "gc", doc: "Whether it runs by itself.",
      examples: [">>> import gc\n>>> gc.isenabled()\nTrue"]
    ) { (_) throws(LullError) in Value(isEnabled) },
    Builtin("runs", "runs()", chapter: "gc", doc: "How often it has run.") {
      (_) throws(LullError) in Value(collections)
    },
    Builtin(
      "is_tracked", "is_tracked(obj, /)", chapter: "gc",
      doc: "Whether a value can be part of a cycle.",
      examples: [">>> import gc\n>>> gc.is_tracked([]), gc.is_tracked(1)\n(True, False)"]
    ) { (a) throws(LullError) in
      Value(a[0].isHeap && ownsReferences(a[0].header))
    },
  ])
}
