// Buffers and the pool that they come from.
//
// Every buffer starts on a 64-byte boundary and its capacity is a multiple of 128 bytes, so a
// kernel may always work on whole vectors: reading or writing up to the capacity is allowed,
// whatever the array's element count. Freed blocks go to a free list of their size class (every
// 128 bytes up to 4 KiB, then four classes an octave) and are linked through their first word.
// From 4 MiB on, blocks are mapped and advised to use large pages.
//
// All bookkeeping belongs to the one thread that builds and evaluates graphs; the pool's
// workers never make or drop a buffer.

import Kernels

#if canImport(Glibc)
  import Glibc
#endif

/// A piece of memory that arrays share. Freed (to the pool, or to its owner) when the last
/// array that views it goes.
public final class Buffer: @unchecked Sendable {
  public let pointer: UnsafeMutableRawPointer
  /// Bytes that may be touched from `pointer` on; for pool blocks this is the capacity.
  public let byteCount: Int
  /// Foreign memory (a mapped file) must not be written, so it is never donated.
  public let isExternal: Bool
  /// Of a file: pages that are let go come back when they are touched.
  public let isMapped: Bool
  private let sizeClass: Int
  private let owner: AnyObject?
  /// Of a mapped file: quantised weights that lie here and were packed, by their offset.
  var packed: [Int: PackedTiles] = [:]

  /// Memory from the pool; its contents are undefined.
  public init(byteCount: Int) throws(ArrayError) {
    let sizeClass = Memory.sizeClass(of: byteCount)
    self.sizeClass = sizeClass
    self.byteCount = Memory.capacity(ofClass: sizeClass)
    pointer = try Memory.take(sizeClass: sizeClass)
    isExternal = false
    isMapped = false
    owner = nil
  }

  /// Memory of somebody else, kept alive by holding `owner`. Nothing is copied.
  public init(
    external pointer: UnsafeMutableRawPointer, byteCount: Int, owner: AnyObject,
    isMapped: Bool = false
  ) {
    self.isMapped = isMapped
    self.pointer = pointer
    self.byteCount = byteCount
    self.owner = owner
    isExternal = true
    sizeClass = -1
  }

  deinit {
    if !isExternal { Memory.give(back: pointer, sizeClass: sizeClass) }
  }
}

/// The pool's accounts and limits (bytes).
public enum Memory {
  nonisolated(unsafe) public private(set) static var active = 0
  nonisolated(unsafe) public private(set) static var peak = 0
  nonisolated(unsafe) public private(set) static var cached = 0
  /// Evaluation throws `ArrayError.memory` rather than pass this.
  public static var limit: Int {
    get {
      if givenLimit == 0 { givenLimit = defaultLimit() }
      return givenLimit
    }
    set { givenLimit = Swift.max(newValue, 1) }
  }
  /// More than this is not kept for reuse.
  public static var cacheLimit: Int {
    get {
      if givenCacheLimit < 0 { givenCacheLimit = limit / 2 }
      return givenCacheLimit
    }
    set {
      givenCacheLimit = Swift.max(newValue, 0)
      if cached > givenCacheLimit { clearCache() }
    }
  }
  // Zero (-1) until they are first needed: a constant start needs no check at each use.
  nonisolated(unsafe) private static var givenLimit = 0
  nonisolated(unsafe) private static var givenCacheLimit = -1

  private static let classCount = 32 + 4 * 48
  private static let largePageThreshold = 4 << 20
  @inline(__always)
  private static var free: UnsafeMutablePointer<UnsafeMutableRawPointer?> { lull_free_lists() }

  private static func defaultLimit() -> Int {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    let bytes = pages > 0 ? pages * sysconf(Int32(_SC_PAGESIZE)) : 8 << 30
    return bytes / 20 * 19
  }

  public static func resetPeak() { peak = 0 }

  /// Gives all cached blocks back to the system.
  public static func clearCache() {
    for sizeClass in 0..<classCount {
      while let block = free[sizeClass] {
        free[sizeClass] = block.load(as: UnsafeMutableRawPointer?.self)
        release(block, capacity: capacity(ofClass: sizeClass))
      }
    }
    cached = 0
  }

  static func sizeClass(of byteCount: Int) -> Int {
    if byteCount <= 4096 { return max(byteCount + 127, 128) / 128 - 1 }
    // Four classes an octave: capacity = (4 + quarter) << (octave + 10), 1 <= quarter <= 4.
    let octave = (Int.bitWidth - 1 - (byteCount - 1).leadingZeroBitCount) - 12
    let quarter = ((byteCount - 1) >> (octave + 10)) - 4
    return 32 + octave * 4 + quarter
  }

  static func capacity(ofClass sizeClass: Int) -> Int {
    if sizeClass < 32 { return (sizeClass + 1) * 128 }
    let (octave, quarter) = ((sizeClass - 32) / 4, (sizeClass - 32) % 4)
    return (5 + quarter) << (octave + 10)
  }

  fileprivate static func take(sizeClass: Int) throws(ArrayError) -> UnsafeMutableRawPointer {
    let capacity = capacity(ofClass: sizeClass)
    if active + capacity > givenLimit && active + capacity > limit {
      throw .memory(requested: capacity, active: active, limit: limit)
    }
    let block: UnsafeMutableRawPointer
    if let cachedBlock = free[sizeClass] {
      free[sizeClass] = cachedBlock.load(as: UnsafeMutableRawPointer?.self)
      cached -= capacity
      block = cachedBlock
    } else {
      if active + cached + capacity > limit { clearCache() }
      var fresh = obtain(capacity)
      if fresh == nil {
        clearCache()
        fresh = obtain(capacity)
      }
      guard let fresh else { throw .memory(requested: capacity, active: active, limit: limit) }
      block = fresh
    }
    active += capacity
    if active > peak { peak = active }
    return block
  }

  fileprivate static func give(back block: UnsafeMutableRawPointer, sizeClass: Int) {
    let capacity = capacity(ofClass: sizeClass)
    active -= capacity
    if cached + capacity > givenCacheLimit && cached + capacity > cacheLimit {
      release(block, capacity: capacity)
      return
    }
    block.storeBytes(of: free[sizeClass], as: UnsafeMutableRawPointer?.self)
    free[sizeClass] = block
    cached += capacity
  }

  private static func obtain(_ capacity: Int) -> UnsafeMutableRawPointer? {
    if capacity < largePageThreshold {
      var block: UnsafeMutableRawPointer?
      return posix_memalign(&block, 64, capacity) == 0 ? block : nil
    }
    // Map 2 MiB more than needed and cut both ends, so that large pages can be used.
    let large = 2 << 20
    let length = capacity + large
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let map = mmap(nil, length, PROT_READ | PROT_WRITE, flags, -1, 0), map != MAP_FAILED
    else { return nil }
    let start = Int(bitPattern: map)
    let aligned = (start + large - 1) & ~(large - 1)
    if aligned > start { munmap(map, aligned - start) }
    let end = aligned + (capacity + 4095) & ~4095
    let surplus = start + length - end
    if surplus > 0 { munmap(UnsafeMutableRawPointer(bitPattern: end), surplus) }
    let block = UnsafeMutableRawPointer(bitPattern: aligned)
    madvise(block, capacity, 14)  // MADV_HUGEPAGE
    return block
  }

  private static func release(_ block: UnsafeMutableRawPointer, capacity: Int) {
    if capacity < largePageThreshold {
      Glibc.free(block)
    } else {
      munmap(block, (capacity + 4095) & ~4095)
    }
  }
}
