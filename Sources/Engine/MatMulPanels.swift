// Matrix products by our own kernels (gemm.h): float32, float16 and bfloat16 on AVX-512.

import Kernels

extension MatMul {
  /// Whether our kernels do it: half precision, few rows, and float32 from 128 x 128 x 128 on, where
  /// they are level with OpenBLAS or ahead. It is ahead on small products.
  func usesPanels(_ out: NDArray) -> Bool {
    guard lull_gemm_works(Int32(out.dtype.rawValue)) != 0, out.size > 0 else { return false }
    let r = out.rank
    let (m, n, k) = (out.shape[r - 2], out.shape[r - 1], out.input(0).shape.last!)
    if k == 0 { return false }
    if out.dtype != .float32 || n == 1 || m <= 8 { return true }
    return out.size == m &* n && 2 * Double(m) * Double(n) * Double(k) >= 4e6
  }

  func multiplyPanels(_ out: NDArray) throws(ArrayError) {
    var (a, b) = (out.input(0), out.input(1))
    if layout(a) == nil { a = try a.rowContiguous() }
    if layout(b) == nil { b = try b.rowContiguous() }
    let (r, width) = (out.rank, out.dtype.byteCount)
    var job = PanelJob(
      a: UnsafeRawPointer(a.pointer).assumingMemoryBound(to: CChar.self),
      b: UnsafeRawPointer(b.pointer).assumingMemoryBound(to: CChar.self),
      dtype: Int32(out.dtype.rawValue), m: Int64(out.shape[r - 2]), n: Int64(out.shape[r - 1]),
      k: Int64(a.shape.last!), aRow: Int64(a.strides[a.rank - 2] * width),
      aColumn: Int64(a.strides[a.rank - 1] * width), bRow: Int64(b.strides[b.rank - 2] * width),
      bColumn: Int64(b.strides[b.rank - 1] * width))
    // Many products: each worker does whole ones, in scratch of its own.
    let batch = out.size / (out.shape[r - 2] * out.shape[r - 1])
    let workers = batch > 1 ? Swift.min(batch, Int(lull_thread_count())) : 1
    let each = (Int(lull_gemm_scratch(job.dtype, job.m, job.n, job.k)) + 63) & ~63
    let (needed, overflow) = each.multipliedReportingOverflow(by: workers)
    if overflow { throw .tooLarge(op: name, shape: out.shape.array) }
    let scratch = try Buffer(byteCount: needed)
    try out.allocate()
    job.c = out.pointer.assumingMemoryBound(to: CChar.self)
    job.scratch = scratch.pointer.assumingMemoryBound(to: CChar.self)
    job.scratchBytes = each
    job.batch = batch
    job.workers = workers
    withEntryOffsets(a, b, out) { offsets, batch in
      job.offsets = offsets
      lull_parallel_for(
        workers > 1 ? Int64(workers) : 1,
        { context, chunk, _ in
          context!.assumingMemoryBound(to: PanelJob.self).pointee.run(Int(chunk))
        }, &job)
    }
    withExtendedLifetime((a, b, scratch)) {}
  }
}

private struct PanelJob {
  var a: UnsafePointer<CChar>, b: UnsafePointer<CChar>
  var dtype: Int32
  var m: Int64, n: Int64, k: Int64
  var aRow: Int64, aColumn: Int64, bRow: Int64, bColumn: Int64
  var c: UnsafeMutablePointer<CChar>! = nil
  var scratch: UnsafeMutablePointer<CChar>! = nil
  var scratchBytes = 0
  /// See `withEntryOffsets`.
  var offsets: UnsafeMutablePointer<Int>! = nil
  var batch = 1
  var workers = 1

  /// Every `workers`th product from `first` on.
  func run(_ first: Int) {
    let entry = Int(m * n) * Int(lull_dtype_size(dtype))
    for i in stride(from: first, to: batch, by: workers) {
      if lull_interrupt_stops() != 0 { return }
      lull_gemm(
        dtype, c + i * entry, a + offsets[2 * i], aRow, aColumn, b + offsets[2 * i + 1], bRow, bColumn,
        m, n, k, scratch + first * scratchBytes)
    }
  }
}
