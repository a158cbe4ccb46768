/// Growing scratch memory for plain values, without the checks and copies of an array.
struct Pile<Element> {
  private var base: UnsafeMutablePointer<Element>?
  private(set) var count = 0
  private var capacity = 0

  var indices: Range<Int> { 0..<count }
  subscript(i: Int) -> Element {
    @inline(__always) unsafeAddress { UnsafePointer(base.unsafelyUnwrapped + i) }
    @inline(__always) nonmutating unsafeMutableAddress { base.unsafelyUnwrapped + i }
  }
  @inline(__always) mutating func append(_ element: Element) {
    if count == capacity { grow() }
    (base.unsafelyUnwrapped + count).initialize(to: element)
    count += 1
  }
  @inline(__always) mutating func popLast() -> Element? {
    if count == 0 { return nil }
    count -= 1
    return base.unsafelyUnwrapped[count]
  }
  @inline(__always) mutating func removeAll(keepingCapacity: Bool) { count = 0 }
  @inline(never) private mutating func grow() {
    let larger = Swift.max(2 * capacity, 64)
    let memory = UnsafeMutablePointer<Element>.allocate(capacity: larger)
    if let base {
      memory.moveInitialize(from: base, count: count)
      base.deallocate()
    }
    base = memory
    capacity = larger
  }
  var pointer: UnsafePointer<Element>? { UnsafePointer(base) }
  func withUnsafeMutableBufferPointer<R>(_ body: (UnsafeMutableBufferPointer<Element>) -> R) -> R {
    body(UnsafeMutableBufferPointer(start: base, count: count))
  }
}
