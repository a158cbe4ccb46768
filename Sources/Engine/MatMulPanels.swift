// Matrix products by our own kernels (gemm.h): float32, float16 and bfloat16 on AVX-512 and AVX2.

import Kernels

extension MatMul {
  /// Whether our kernels do it.
  func usesPanels(_ out: NDArray) -> Bool {
    lull_gemm_works(Int32(out.dtype.rawValue)) != 0 && out.size > 0
      && out.input(0).shape[out.input(0).rank - 1] > 0
  }

  func multiplyPanels(_ out: NDArray) throws(ArrayError) {
    let product = try PanelProduct(out)
    try out.allocate()
    product.run(out, before: nil)
  }
}

/// A product by our kernels, its operands and scratch at hand. Its node may have been changed since.
struct PanelProduct {
  private let a: NDArray, b: NDArray
  private let scratch: Buffer?
  private var job: PanelJob
  private let batch: Int
  /// Workers do whole products, each in scratch of its own; else each product is shared out.
  private let isShared: Bool

  init(_ out: NDArray) throws(ArrayError) {
    let matmul = MatMul()
    var (a, b) = (out.input(0), out.input(1))
    if matmul.layout(a) == nil { a = try a.rowContiguous() }
    if matmul.layout(b) == nil { b = try b.rowContiguous() }
    let (r, width) = (out.rank, out.dtype.byteCount)
    let (m, n, k) = (out.shape[r - 2], out.shape[r - 1], a.shape[a.rank - 1])
    let dtype = Int32(out.dtype.rawValue)
    batch = out.size / (m * n)
    job = PanelJob(
      a: UnsafeRawPointer(a.pointer).assumingMemoryBound(to: CChar.self),
      b: UnsafeRawPointer(b.pointer).assumingMemoryBound(to: CChar.self), c: nil, dtype: dtype,
      m: Int64(m), n: Int64(n), k: Int64(k), aRow: Int64(a.strides[a.rank - 2] * width),
      aColumn: Int64(a.strides[a.rank - 1] * width), bRow: Int64(b.strides[b.rank - 2] * width),
      bColumn: Int64(b.strides[b.rank - 1] * width), entryBytes: m * n * width)
    let work = job.work
    let threads = Int(lull_thread_count())
    isShared =
      work * Double(batch) >= 400_000 && batch > 1
      && (work < 4e6 || batch >= 4 * threads)
    job.scratchBytes = (job.scratchNeeded + 63) & ~63
    let (needed, overflow) = job.scratchBytes.multipliedReportingOverflow(
      by: isShared ? threads : 1)
    if overflow { throw .tooLarge(op: matmul.name, shape: out.shape.array) }
    scratch = needed > 0 ? try Buffer(byteCount: needed) : nil
    job.scratch = scratch?.pointer.assumingMemoryBound(to: CChar.self)
    (self.a, self.b) = (a, b)
  }

  /// Computes `out`, which has its memory. `program`, if any, reads it, and perhaps writes over it: it
  /// runs over each part while that is in the cache.
  func run(_ out: NDArray, before program: UnsafePointer<LullProgram>?) {
    var job = job
    job.c = out.pointer.assumingMemoryBound(to: CChar.self)
    if batch == 1 {
      job.program = program
      job.multiply(0, 0, 0, job.scratch)
      return
    }
    MatMul().withEntryOffsets(a, b, out) { offsets, batch in
      job.offsets = offsets
      job.batch = batch
      if isShared {
        // Pieces of some 10 us.
        job.each = Swift.min(Int(1e6 / job.work) + 1, batch)
        lull_parallel_for(
          Int64((batch + job.each - 1) / job.each),
          { context, chunk, worker in
            guard let context else { return }
            context.assumingMemoryBound(to: PanelJob.self).pointee.run(Int(chunk), Int(worker))
          }, &job)
        // Kernels are made by one thread only.
        if let program { lull_program_run(program) }
      } else {
        job.each = batch
        job.program = program
        job.run(0, 0)
      }
    }
  }
}

private struct PanelJob {
  let a: UnsafePointer<CChar>, b: UnsafePointer<CChar>
  var c: UnsafeMutablePointer<CChar>?
  let dtype: Int32
  let m: Int64, n: Int64, k: Int64
  let aRow: Int64, aColumn: Int64, bRow: Int64, bColumn: Int64
  let entryBytes: Int
  var scratch: UnsafeMutablePointer<CChar>?
  var scratchBytes = 0
  /// See `withEntryOffsets`.
  var offsets: UnsafeMutablePointer<Int>?
  var batch = 1
  /// Products of a piece.
  var each = 1

  var program: UnsafePointer<LullProgram>?

  var work: Double { 2 * Double(m) * Double(n) * Double(k) }
  var scratchNeeded: Int { Int(lull_gemm_scratch(dtype, aRow, aColumn, bRow, bColumn, m, n, k)) }

  func multiply(
    _ entry: Int, _ aOffset: Int, _ bOffset: Int, _ scratch: UnsafeMutablePointer<CChar>?
  ) {
    guard let c else { return }
    lull_gemm(
      dtype, c + entry * entryBytes, a + aOffset, aRow, aColumn, b + bOffset, bRow, bColumn, m, n,
      k,
      scratch, program, Int64(entry) * m * n)
  }

  func run(_ chunk: Int, _ worker: Int) {
    guard let offsets else { return }
    for i in (chunk * each)..<Swift.min((chunk + 1) * each, batch) {
      if lull_interrupt_stops() != 0 { return }
      multiply(i, offsets[2 * i], offsets[2 * i + 1], scratch.map { $0 + worker * scratchBytes })
    }
  }
}
