enum ScatterMode { case add }
func scatter(_ x: NDArray, _ i: [NDArray], _ u: NDArray, _ m: ScatterMode) throws(ArrayError) -> NDArray { throw .internal("") }
