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
    let (m, n, k) = (out.shape[r - 2], out.shape[r - 1], a.shape.last!)
    let dtype = Int32(out.dtype.rawValue)
    // Many products: each worker does whole ones, in scratch of its own.
    let batch = out.size / (m * n)
    let isLarge = 2 * Double(out.size) * Double(k) >= 400_000
    let workers = isLarge ? Swift.min(batch, Int(lull_thread_count())) : 1
    let each = (Int(lull_gemm_scratch(dtype, Int64(m), Int64(n), Int64(k))) + 63) & ~63
    let (needed, overflow) = each.multipliedReportingOverflow(by: workers)
    if overflow { throw .tooLarge(op: name, shape: out.shape.array) }
    let scratch = try Buffer(byteCount: needed)
    try out.allocate()
    withEntryOffsets(a, b, out) { offsets, batch in
      var job = PanelJob(
        a: UnsafeRawPointer(a.pointer).assumingMemoryBound(to: CChar.self),
        b: UnsafeRawPointer(b.pointer).assumingMemoryBound(to: CChar.self),
        c: out.pointer.assumingMemoryBound(to: CChar.self), dtype: dtype, m: Int64(m), n: Int64(n),
        k: Int64(k), aRow: Int64(a.strides[a.rank - 2] * width),
        aColumn: Int64(a.strides[a.rank - 1] * width), bRow: Int64(b.strides[b.rank - 2] * width),
        bColumn: Int64(b.strides[b.rank - 1] * width), entryBytes: m * n * width,
        scratch: scratch.pointer.assumingMemoryBound(to: CChar.self), scratchBytes: each,
        offsets: offsets, batch: batch, workers: workers)
      lull_parallel_for(
        Int64(workers),
        { context, chunk, _ in
          context!.assumingMemoryBound(to: PanelJob.self).pointee.run(Int(chunk))
        }, &job)
    }
    withExtendedLifetime((a, b, scratch)) {}
  }
}

private struct PanelJob {
  let a: UnsafePointer<CChar>, b: UnsafePointer<CChar>
  let c: UnsafeMutablePointer<CChar>
  let dtype: Int32
  let m: Int64, n: Int64, k: Int64
  let aRow: Int64, aColumn: Int64, bRow: Int64, bColumn: Int64
  let entryBytes: Int
  let scratch: UnsafeMutablePointer<CChar>
  let scratchBytes: Int
  /// See `withEntryOffsets`.
  let offsets: UnsafeMutablePointer<Int>
  let batch: Int, workers: Int

  /// Every `workers`th product from `first` on.
  func run(_ first: Int) {
    for i in stride(from: first, to: batch, by: workers) {
      if lull_interrupt_stops() != 0 { return }
      lull_gemm(
        dtype, c + i * entryBytes, a + offsets[2 * i], aRow, aColumn, b + offsets[2 * i + 1], bRow, bColumn,
        m, n, k, scratch + first * scratchBytes)
    }
  }
}
