// An encoder for the x86-64 instructions that translated functions use (Intel SDM volume 2).
//
// Memory operands are [base + displacement]; every branch takes four bytes. Code is written through
// one mapping and runs through another (`lull_map_code`), so that no page is writable and executable.

enum R: UInt8 { case rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 }

enum Condition: UInt8 {
  case overflow = 0, below = 2, aboveEqual, equal, notEqual, belowEqual, above, negative
  case parity = 10, noParity, less, greaterEqual, lessEqual, greater
}

struct Memory {
  var base: R
  var offset: Int
  init(_ base: R, _ offset: Int) {
    self.base = base
    self.offset = offset
  }
  func plus(_ n: Int) -> Memory { Memory(base, offset + n) }
}

/// The operations of `alu`, by the number that the instruction set gives them.
enum ALU: UInt8 { case add = 0, or, adc, sbb, and, sub, xor, cmp }

struct CodeLabel { var number: Int }

struct Assembler {
  private let start: UnsafeMutablePointer<UInt8>
  private let capacity: Int
  private(set) var count = 0
  /// There was no room for all of it.
  private(set) var isFull = false
  private var places: [Int] = []
  private var fixups: [(place: Int, label: Int)] = []

  init(_ start: UnsafeMutablePointer<UInt8>, capacity: Int) {
    self.start = start
    self.capacity = capacity
  }

  // MARK: Bytes

  @inline(__always) private mutating func byte(_ b: UInt8) {
    if count < capacity { start[count] = b } else { isFull = true }
    count &+= 1
  }
  private mutating func bytes4(_ v: Int32) {
    let u = UInt32(bitPattern: v)
    byte(UInt8(truncatingIfNeeded: u))
    byte(UInt8(truncatingIfNeeded: u >> 8))
    byte(UInt8(truncatingIfNeeded: u >> 16))
    byte(UInt8(truncatingIfNeeded: u >> 24))
  }
  private mutating func bytes8(_ v: UInt64) {
    bytes4(Int32(truncatingIfNeeded: v))
    bytes4(Int32(truncatingIfNeeded: v >> 32))
  }
  /// REX, the opcode, ModRM and what follows it, for a register and a memory operand.
  private mutating func encode(
    _ wide: Bool, _ prefix: UInt8, _ escape: Bool, _ opcode: UInt8, _ reg: UInt8, _ m: Memory
  ) {
    if prefix != 0 { byte(prefix) }
    let rex = (wide ? 8 : 0) | (reg & 8) >> 1 | (m.base.rawValue & 8) >> 3
    if rex != 0 { byte(0x40 | rex) }
    if escape { byte(0x0F) }
    byte(opcode)
    let b = m.base.rawValue & 7
    let isShort = m.offset >= -128 && m.offset < 128
    byte((isShort ? 0x40 : 0x80) | (reg & 7) << 3 | b)
    if b == 4 { byte(0x24) }
    if isShort {
      byte(UInt8(truncatingIfNeeded: m.offset))
    } else {
      bytes4(Int32(truncatingIfNeeded: m.offset))
    }
  }
  private mutating func encode(
    _ wide: Bool, _ prefix: UInt8, _ escape: Bool, _ opcode: UInt8, _ reg: UInt8,
    register rm: UInt8,
    force: Bool = false
  ) {
    if prefix != 0 { byte(prefix) }
    let rex = (wide ? 8 : 0) | (reg & 8) >> 1 | (rm & 8) >> 3
    if rex != 0 || force { byte(0x40 | rex) }
    if escape { byte(0x0F) }
    byte(opcode)
    byte(0xC0 | (reg & 7) << 3 | (rm & 7))
  }

  // MARK: Moves

  mutating func load(_ r: R, _ m: Memory) { encode(true, 0, false, 0x8B, r.rawValue, m) }
  mutating func load4(_ r: R, _ m: Memory) { encode(false, 0, false, 0x8B, r.rawValue, m) }
  mutating func load4Signed(_ r: R, _ m: Memory) { encode(true, 0, false, 0x63, r.rawValue, m) }
  mutating func load2(_ r: R, _ m: Memory) { encode(false, 0, true, 0xB7, r.rawValue, m) }
  mutating func load1(_ r: R, _ m: Memory) { encode(false, 0, true, 0xB6, r.rawValue, m) }
  mutating func store(_ m: Memory, _ r: R) { encode(true, 0, false, 0x89, r.rawValue, m) }
  mutating func store4(_ m: Memory, _ r: R) { encode(false, 0, false, 0x89, r.rawValue, m) }
  /// 8 bytes, the number sign-extended.
  mutating func store(_ m: Memory, _ v: Int32) {
    encode(true, 0, false, 0xC7, 0, m)
    bytes4(v)
  }
  mutating func store4(_ m: Memory, _ v: Int32) {
    encode(false, 0, false, 0xC7, 0, m)
    bytes4(v)
  }
  mutating func store2(_ m: Memory, _ v: UInt16) {
    encode(false, 0x66, false, 0xC7, 0, m)
    byte(UInt8(truncatingIfNeeded: v))
    byte(UInt8(truncatingIfNeeded: v >> 8))
  }
  mutating func store1(_ m: Memory, _ v: UInt8) {
    encode(false, 0, false, 0xC6, 0, m)
    byte(v)
  }
  mutating func move(_ to: R, _ from: R) {
    encode(true, 0, false, 0x89, from.rawValue, register: to.rawValue)
  }
  mutating func move(_ r: R, _ v: UInt64) {
    if v <= UInt64(UInt32.max) {
      if r.rawValue >= 8 { byte(0x41) }
      byte(0xB8 | r.rawValue & 7)
      bytes4(Int32(truncatingIfNeeded: v))
    } else if let small = Int32(exactly: Int64(bitPattern: v)) {
      encode(true, 0, false, 0xC7, 0, register: r.rawValue)
      bytes4(small)
    } else {
      byte(r.rawValue >= 8 ? 0x49 : 0x48)
      byte(0xB8 | r.rawValue & 7)
      bytes8(v)
    }
  }
  mutating func address(_ r: R, _ m: Memory) { encode(true, 0, false, 0x8D, r.rawValue, m) }
  mutating func address(_ r: R, of label: CodeLabel) {
    byte(r.rawValue >= 8 ? 0x4C : 0x48)
    byte(0x8D)
    byte((r.rawValue & 7) << 3 | 5)
    reference(label)
  }

  // MARK: Integers

  mutating func alu(_ op: ALU, _ r: R, _ m: Memory) {
    encode(true, 0, false, op.rawValue << 3 | 3, r.rawValue, m)
  }
  mutating func alu4(_ op: ALU, _ r: R, _ m: Memory) {
    encode(false, 0, false, op.rawValue << 3 | 3, r.rawValue, m)
  }
  mutating func alu(_ op: ALU, _ a: R, _ b: R) {
    encode(true, 0, false, op.rawValue << 3 | 3, a.rawValue, register: b.rawValue)
  }
  mutating func alu(_ op: ALU, _ r: R, _ v: Int32) {
    if v >= -128 && v < 128 {
      encode(true, 0, false, 0x83, op.rawValue, register: r.rawValue)
      byte(UInt8(truncatingIfNeeded: v))
    } else {
      encode(true, 0, false, 0x81, op.rawValue, register: r.rawValue)
      bytes4(v)
    }
  }
  mutating func alu(_ op: ALU, _ m: Memory, _ v: Int32) { immediate(true, op, m, v) }
  mutating func alu4(_ op: ALU, _ m: Memory, _ v: Int32) { immediate(false, op, m, v) }
  private mutating func immediate(_ wide: Bool, _ op: ALU, _ m: Memory, _ v: Int32) {
    if v >= -128 && v < 128 {
      encode(wide, 0, false, 0x83, op.rawValue, m)
      byte(UInt8(truncatingIfNeeded: v))
    } else {
      encode(wide, 0, false, 0x81, op.rawValue, m)
      bytes4(v)
    }
  }
  mutating func compare1(_ m: Memory, _ v: UInt8) {
    encode(false, 0, false, 0x80, 7, m)
    byte(v)
  }
  mutating func test1(_ m: Memory, _ v: UInt8) {
    encode(false, 0, false, 0xF6, 0, m)
    byte(v)
  }
  mutating func test(_ a: R, _ b: R) {
    encode(true, 0, false, 0x85, b.rawValue, register: a.rawValue)
  }
  mutating func increment4(_ m: Memory) { encode(false, 0, false, 0xFF, 0, m) }
  mutating func decrement4(_ m: Memory) { encode(false, 0, false, 0xFF, 1, m) }
  mutating func decrement(_ m: Memory) { encode(true, 0, false, 0xFF, 1, m) }
  mutating func multiply(_ r: R, _ m: Memory) { encode(true, 0, true, 0xAF, r.rawValue, m) }
  mutating func multiply(_ r: R, _ v: Int32) {
    encode(true, 0, false, 0x69, r.rawValue, register: r.rawValue)
    bytes4(v)
  }
  /// rdx:rax divided by `r`.
  mutating func divide(_ r: R) {
    byte(0x48)
    byte(0x99)
    encode(true, 0, false, 0xF7, 7, register: r.rawValue)
  }
  mutating func negate(_ r: R) { encode(true, 0, false, 0xF7, 3, register: r.rawValue) }
  mutating func shiftLeft(_ r: R, _ n: UInt8) { shift(4, r, n) }
  mutating func shiftRight(_ r: R, _ n: UInt8) { shift(5, r, n) }
  private mutating func shift(_ op: UInt8, _ r: R, _ n: UInt8) {
    encode(true, 0, false, 0xC1, op, register: r.rawValue)
    byte(n)
  }
  /// By cl.
  mutating func shiftLeft(_ r: R) { encode(true, 0, false, 0xD3, 4, register: r.rawValue) }
  mutating func shiftRightSigned(_ r: R) { encode(true, 0, false, 0xD3, 7, register: r.rawValue) }
  /// 0 or 1 in the whole register (one of the first four).
  mutating func set(_ r: R, if c: Condition) {
    encode(false, 0, true, 0x90 | c.rawValue, 0, register: r.rawValue, force: true)
    encode(false, 0, true, 0xB6, r.rawValue, register: r.rawValue, force: true)
  }
  mutating func push(_ r: R) {
    if r.rawValue >= 8 { byte(0x41) }
    byte(0x50 | r.rawValue & 7)
  }
  mutating func pop(_ r: R) {
    if r.rawValue >= 8 { byte(0x41) }
    byte(0x58 | r.rawValue & 7)
  }

  // MARK: Doubles; registers by number

  mutating func loadDouble(_ x: UInt8, _ m: Memory) { encode(false, 0xF2, true, 0x10, x, m) }
  mutating func storeDouble(_ m: Memory, _ x: UInt8) { encode(false, 0xF2, true, 0x11, x, m) }
  /// 0x58 add, 0x59 multiply, 0x5C subtract, 0x5E divide.
  mutating func double(_ opcode: UInt8, _ x: UInt8, _ y: UInt8) {
    encode(false, 0xF2, true, opcode, x, register: y)
  }
  mutating func double(_ opcode: UInt8, _ x: UInt8, _ m: Memory) {
    encode(false, 0xF2, true, opcode, x, m)
  }
  mutating func compareDouble(_ x: UInt8, _ m: Memory) { encode(false, 0x66, true, 0x2E, x, m) }
  mutating func compareDouble(_ x: UInt8, _ y: UInt8) {
    encode(false, 0x66, true, 0x2E, x, register: y)
  }
  mutating func convertToDouble(_ x: UInt8, _ m: Memory) {
    zeroDouble(x)
    encode(true, 0xF2, true, 0x2A, x, m)
  }
  mutating func convertToDouble(_ x: UInt8, _ r: R) {
    zeroDouble(x)
    encode(true, 0xF2, true, 0x2A, x, register: r.rawValue)
  }
  mutating func zeroDouble(_ x: UInt8) { encode(false, 0, true, 0x57, x, register: x) }

  // MARK: Branches

  mutating func label() -> CodeLabel {
    places.append(-1)
    return CodeLabel(number: places.count - 1)
  }
  mutating func place(_ l: CodeLabel) { places[l.number] = count }
  func offset(of l: CodeLabel) -> Int { places[l.number] }
  private mutating func reference(_ l: CodeLabel) {
    fixups.append((count, l.number))
    bytes4(0)
  }
  mutating func jump(_ l: CodeLabel) {
    byte(0xE9)
    reference(l)
  }
  mutating func jump(_ c: Condition, _ l: CodeLabel) {
    byte(0x0F)
    byte(0x80 | c.rawValue)
    reference(l)
  }
  mutating func jump(_ r: R) { encode(false, 0, false, 0xFF, 4, register: r.rawValue) }
  mutating func jump(_ m: Memory) { encode(false, 0, false, 0xFF, 4, m) }
  mutating func call(_ l: CodeLabel) {
    byte(0xE8)
    reference(l)
  }
  mutating func call(_ r: R) { encode(false, 0, false, 0xFF, 2, register: r.rawValue) }
  /// To code outside of this piece; `distance` is from the beginning of this piece.
  mutating func jump(outside distance: Int) {
    byte(0xE9)
    bytes4(Int32(truncatingIfNeeded: distance - count - 4))
  }
  mutating func jump(_ c: Condition, outside distance: Int) {
    byte(0x0F)
    byte(0x80 | c.rawValue)
    bytes4(Int32(truncatingIfNeeded: distance - count - 4))
  }
  mutating func call(outside distance: Int) {
    byte(0xE8)
    bytes4(Int32(truncatingIfNeeded: distance - count - 4))
  }
  mutating func `return`() { byte(0xC3) }

  /// Fills in the branches; false when there was no room.
  mutating func finish() -> Bool {
    if isFull { return false }
    for f in fixups {
      let distance = Int32(truncatingIfNeeded: places[f.label] - f.place - 4)
      UnsafeMutableRawPointer(start + f.place).storeBytes(of: distance, as: Int32.self)
    }
    return true
  }
}
