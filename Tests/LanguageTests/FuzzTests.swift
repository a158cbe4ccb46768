// Damaged programs must end in a value or an error: no crash, no hang, no unbounded memory.
//
// All cells run in one process, on a thread with a small stack, each in a fresh `__main__`. A
// watchdog raises the interrupt flag after 50 ms, again and again for programs that catch it; a cell
// that lives for 2 s more is a hang and ends the process with its number. `LULL_FUZZ_CASES` sets how
// many cells run, `LULL_FUZZ_FIRST` the first one, `LULL_FUZZ_SHOW=1` prints each cell before it
// runs, which finds the one that crashed.

import Foundation
import Language
import Synchronization
import Testing

/// Milliseconds at which the running cell began; 0 between cells.
private let cellStart = Atomic<Int>(0)
private let cellNumber = Atomic<Int>(0)
private let isFinished = Atomic<Bool>(false)

private func milliseconds() -> Int {
  var t = timespec()
  clock_gettime(CLOCK_MONOTONIC, &t)
  return t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

private func residentBytes() -> Int {
  let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
  let fields = text.split(separator: " ")
  return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
}

/// Runs the body on a thread with a stack of the given size.
func onThread(stackByteCount: Int, _ body: @escaping @Sendable () -> Void) {
  let done = DispatchSemaphore(value: 0)
  let thread = Thread {
    body()
    done.signal()
  }
  thread.stackSize = stackByteCount
  thread.start()
  done.wait()
}

/// Programs of Tests/Programs and the snippets.
func fuzzSeeds() -> [String] {
  let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Programs")
  var out: [String] = []
  let files = FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil)
  var paths: [String] = []
  while let u = files?.nextObject() as? URL {
    if u.pathExtension == "lull" { paths.append(u.path) }
  }
  for p in paths.sorted() {
    if let s = try? String(contentsOfFile: p, encoding: .utf8) { out.append(s) }
  }
  return out + reentrantSnippets
}

/// Takes away what reaches outside the process or waits.
func confine() {
  let i = Interpreter()
  i.setOutput(
    OutputStream(write: { _ in }, flush: {}), error: OutputStream(write: { _ in }, flush: {}))
  for name in ["open", "input", "breakpoint"] { i.removeBuiltin(name) }
  for name in ["os", "os.path", "time", "_io", "_files"] { ModuleRegistry.remove(name) }
  let stdlib = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "stdlib")
  i.searchPath = [stdlib.path]
  maximumObjectBytes = 16 << 20
}

func runFuzz(first: Int, count: Int, seed: UInt64, show: Bool) -> (
  values: Int, errors: [String: Int]
) {
  var values = 0
  var errors: [String: Int] = [:]
  let mutator = Mutator(programs: fuzzSeeds(), seed: seed)
  let flag = Int(bitPattern: Interpreter().interruptFlag)
  isFinished.store(false, ordering: .relaxed)
  let watchdog = Thread {
    while !isFinished.load(ordering: .relaxed) {
      usleep(5_000)
      let start = cellStart.load(ordering: .relaxed)
      if start == 0 { continue }
      let elapsed = milliseconds() - start
      if elapsed > 50, let p = UnsafeMutablePointer<Int32>(bitPattern: flag) { p.pointee = 1 }
      if elapsed > 2_050 {
        let n = cellNumber.load(ordering: .relaxed)
        let text = String(decoding: mutator.program(n), as: UTF8.self)
        FileHandle.standardError.write(Data("fuzz: cell \(n) hangs:\n\(text)\n".utf8))
        fatalError("cell \(n) hangs")
      }
    }
  }
  watchdog.start()
  for n in first..<(first + count) {
    let source = String(decoding: mutator.program(n), as: UTF8.self)
    if show { FileHandle.standardError.write(Data("=== \(n)\n\(source)\n".utf8)) }
    cellNumber.store(n, ordering: .relaxed)
    let interpreter = Interpreter()
    cellStart.store(milliseconds(), ordering: .relaxed)
    do throws(LullError) {
      if let v = try interpreter.run(source) {
        _ = try repr(v)
        v.drop()
      }
      values += 1
    } catch {
      errors[error.kind, default: 0] += 1
      _ = renderTraceback(error)
    }
    interpreter.clear()
    cellStart.store(0, ordering: .relaxed)
  }
  isFinished.store(true, ordering: .relaxed)
  return (values, errors)
}

extension LanguageTests {
  @Test func damagedPrograms() {
    let environment = ProcessInfo.processInfo.environment
    let count = environment["LULL_FUZZ_CASES"].flatMap { Int($0) } ?? 20_000
    let first = environment["LULL_FUZZ_FIRST"].flatMap { Int($0) } ?? 0
    let show = environment["LULL_FUZZ_SHOW"] == "1"
    let before = residentBytes()
    onThread(stackByteCount: 1 << 20) {
      confine()
      let (values, errors) = runFuzz(first: first, count: count, seed: 20_241, show: show)
      let total = values + errors.values.reduce(0, +)
      #expect(total == count)
      // The mutations must leave a fair part of the programs running.
      #expect(count < 1000 || values > count / 50)
      #expect(errors["InternalError"] == nil && errors["SystemError"] == nil)
    }
    let growth = residentBytes() - before
    #expect(growth < 1 << 30, "memory grew by \(growth >> 20) MiB")
  }
}
