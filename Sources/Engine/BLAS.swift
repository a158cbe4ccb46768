import COpenBLAS

/// Makes OpenBLAS ready for calls (on one thread: the pool's workers call it), or says how to get it.
func requireBLAS() throws(ArrayError) {
  if lull_blas_load() != 0 {
    throw .argument(op: "matmul", message: String(cString: lull_blas_description()))
  }
}
