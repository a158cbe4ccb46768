// What the language gets from the modules below: the builtin modules and the prelude.
//
// Modules are made when a program first imports them, so that start-up does not pay for them. The prelude puts
// the array functions that clash with no builtin of Python at the top level, and `mx`, `nn`, `optim`, `np`
// there as names that import on first use.

import Engine
import Kernels
import Language

/// Names of `mlx.core` that stay out of the prelude: Python has them, or they say too little alone.
private let notInPrelude: Set<String> = [
  "abs", "all", "any", "divmod", "eval", "load", "max", "min", "pow", "round", "save", "slice",
  "sum", "view", "repeat", "key", "split", "bool", "random", "stream", "unique", "empty",
  "synchronize", "printoptions", "set_printoptions", "get_printoptions",
]

/// All array functions of `mlx.core`.
public let coreFunctions: [Builtin] =
  elementwiseFunctions + reductionFunctions + creationFunctions + shapeFunctions
  + indexingFunctions + linearFunctions + convolutionFunctions + dtypeFunctions
  + quantizationFunctions + windowFunctions + transformFunctions + evaluationFunctions
  + fileFunctions + deviceFunctions + aliasFunctions + moreFunctions + vmapFunctions
  + compileFunctions + customFunctions + exportFunctions

/// NumPy's functions that MLX has no name for: `mx` and the prelude have them over mlx arrays (lull/arrays.lull).
public let borrowedNames: Set<String> = [
  "angle", "append", "argwhere", "array_equiv", "array_split", "average", "bincount", "cbrt",
  "choose", "column_stack", "compress", "copysign", "corrcoef", "correlate", "cov", "cross",
  "deg2rad", "delete", "diag_indices", "digitize", "dot", "dsplit", "dstack", "ediff1d", "exp2",
  "extract", "fabs", "fix", "flatnonzero", "fliplr", "flipud", "float_power", "fmax", "fmin",
  "fmod", "frexp", "gcd", "geomspace", "gradient", "heaviside", "histogram", "histogram2d",
  "histogram_bin_edges", "hsplit", "hstack", "hypot", "indices", "insert", "interp",
  "intersect1d", "iscomplex", "isin", "isreal", "lcm", "ldexp", "lexsort", "logaddexp2",
  "logspace", "modf", "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean",
  "nanmedian", "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar",
  "percentile", "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul",
  "polysub", "polyval", "ptp", "quantile", "rad2deg", "ravel", "ravel_multi_index", "resize",
  "rint", "rollaxis", "roots", "rot90", "select", "setdiff1d", "setxor1d", "signbit", "sinc",
  "trapezoid", "tril_indices", "trim_zeros", "triu_indices", "union1d", "unravel_index", "unwrap",
  "vander", "vdot", "vsplit", "vstack",
]

private func borrowed(_ name: String) throws(LullError) -> Value? {
  let module = try importModuleValue("lull.arrays")
  defer { module.drop() }
  guard let make = try attributeOrNil(module, "borrowed") else { return nil }
  defer { make.drop() }
  let text = makeStr(name)
  defer { text.drop() }
  return try callValue(make, [text])
}

private let submodules: Set<String> = [
  "random", "fast", "linalg", "fft", "metal", "cuda", "distributed",
]

private func coreModule() -> NativeModule {
  var values: [(String, Value)] = dtypeNames()
  values.append(("array", arrayType.value.retain()))
  values.append(("Dtype", dtypeType.value.retain()))
  values += constants()
  values.append(("newaxis", .none))
  values += deviceNames()
  values.append(("FunctionExporter", exporterType.value.retain()))
  values.append(("ArrayAt", arrayAtType.value.retain()))
  values.append(("DtypeCategory", categoryType.value.retain()))
  values.append(("PrintOptions", printOptionsType.value.retain()))
  values.append(("__version__", makeStr("0.32.4")))
  let lazyNames = submodules.union(borrowedNames).union(["ArrayLike", "ArrayIterator"])
  return NativeModule(builtins: coreFunctions, values: values, lazyNames: Array(lazyNames)) {
    name in
    submodules.contains(name)
      ? try importModuleValue("mlx.core." + name)
      : borrowedNames.contains(name)
        ? try borrowed(name)
        : name == "ArrayLike" || name == "ArrayIterator"
          ? try attributeOrNil(importModuleValue("lull.arrays"), name) : nil
  }
}

/// `mx.random.state`: a list with the key, which every draw without a key of its own reads and writes.
private func randomState() -> Value {
  let list: Value
  do { list = makeListValue([wrap(try Random.currentState())]) } catch { return makeListValue([]) }
  let holder = Holder(list)
  Random.storage = (
    get: { holder.value.elements.first?.ndarray },
    set: { key in
      if holder.value.elements.isEmpty {
        appendToList(holder.value, wrap(key))
      } else {
        setListItem(holder.value, 0, wrap(key))
      }
    }
  )
  return list
}

private func constants() -> [(String, Value)] {
  [
    ("pi", Value(Double.pi)), ("e", Value(2.718281828459045)), ("inf", Value(Double.infinity)),
    ("nan", Value(Double.nan)), ("euler_gamma", Value(0.5772156649015329)),
  ]
}

public enum Library {
  /// Registers the modules; cheap.
  public static func install() {
    installBuffers()
    threadStates.append(EngineThreadState.save)
    threadStates.append {
      let old = isNumPyCall
      isNumPyCall = false
      return { isNumPyCall = old }
    }
    ModuleRegistry.add("mlx.core") { coreModule() }
    ModuleRegistry.add("mlx.core.random") {
      NativeModule(builtins: randomFunctions, values: [("state", randomState())])
    }
    ModuleRegistry.add("mlx.core.fast") {
      NativeModule(builtins: fastFunctions + gpuKernelFunctions)
    }
    ModuleRegistry.add("_numpy") { numpyModule() }
    ModuleRegistry.add("mlx.core.fft") { NativeModule(builtins: fourierFunctions) }
    ModuleRegistry.add("mlx.core.linalg") { NativeModule(builtins: linalgFunctions) }
    ModuleRegistry.add("lull.formats") {
      let types = [
        quantizedWeightType, tokenizerType, detokenizerType, constraintType, matcherType,
      ]
      return NativeModule(
        builtins: formatsFunctions + tensorFileFunctions,
        values: types.map { ($0.name, $0.value.retain()) })
    }
    ModuleRegistry.add("_mpi") { NativeModule(builtins: processFunctions) }
    ModuleRegistry.add("lull.audio") { NativeModule(builtins: audioFunctions) }
    ModuleRegistry.add("zlib") { NativeModule(builtins: zlibFunctions) }
    ModuleRegistry.add("lull.trace") { NativeModule(builtins: traceFunctions) }
    ModuleRegistry.add("lull.introspect") { NativeModule(builtins: introspectFunctions) }
    ModuleRegistry.add("lull.media_native") { NativeModule(builtins: mediaFunctions) }
    ModuleRegistry.add("lull.programs") { NativeModule(builtins: programFunctions) }
  }

  /// The names that the prelude adds.
  public static func prelude() -> [Builtin] {
    coreFunctions.filter { !notInPrelude.contains($0.name) } + audioFunctions
  }
}
