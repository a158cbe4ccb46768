// swift-tools-version:6.1
import PackageDescription

// One C target holds every inner loop; its functions are compiled three times
// (portable, AVX2, AVX-512) and chosen at run time, so no -march flag is set here.
let kernelFlags: [CSetting] = [
  .unsafeFlags([
    "-O3", "-Wno-psabi", "-fno-math-errno", "-fno-trapping-math", "-fvisibility=hidden", "-std=c17",
  ])
]
let strict: [SwiftSetting] = [
  .unsafeFlags(["-warnings-as-errors"])
]
// Programs run on one thread, and so does everything of these modules: reference counts need no
// atomic instructions (44% of the time of an operation on a small array), and accesses no checks.
let oneThread =
  strict + [
    .unsafeFlags(["-Xfrontend", "-assume-single-threaded", "-enforce-exclusivity=unchecked"])
  ]

// The loop of the machine is one function with a case per instruction. Merging equal ends of cases
// would add jumps to each, and by default so large a switch keeps a single place of dispatch; with a
// copy of it behind each case the processor predicts where to go next (the interpreter's programs
// take 0.86 of the time).
let manyDispatches: [SwiftSetting] = [
  .unsafeFlags([
    "-Xllvm", "-vectorize-slp=false", "-Xllvm", "-enable-tail-merge=false", "-Xllvm",
    "-tail-dup-pred-size=10000",
    "-Xllvm", "-tail-dup-succ-size=10000",
  ])
]

let package = Package(
  name: "Lull",
  products: [.executable(name: "lull", targets: ["lull"])],
  dependencies: [
    .package(url: "https://github.com/attaswift/BigInt", from: "6.0.1")
  ],
  targets: [
    .target(name: "Kernels", cSettings: kernelFlags, linkerSettings: [.linkedLibrary("m")]),
    .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CMPI", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CZeroMQ", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CSndfile", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CZlib", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CReadline", linkerSettings: [.linkedLibrary("readline")]),
    // Exclusivity checks were a third of the time of an operation on a small array.
    .target(
      name: "Engine", dependencies: ["Kernels", "COpenBLAS", "CMPI"],
      swiftSettings: strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"])]),
    .target(
      name: "Formats", dependencies: ["Kernels", "CSndfile", "CZlib"], swiftSettings: strict),
    .target(name: "Text", dependencies: ["Formats"], swiftSettings: strict),
    .target(
      name: "Language", dependencies: ["Kernels", "BigInt"],
      swiftSettings: oneThread + manyDispatches),
    .target(
      name: "Library", dependencies: ["Language", "Engine", "Formats", "Text", "Kernels"],
      swiftSettings: oneThread),
    .target(name: "Session", dependencies: ["Library"], swiftSettings: strict),
    .target(name: "Notebook", dependencies: ["Session", "Formats"], swiftSettings: strict),
    .target(
      name: "Jupyter", dependencies: ["Session", "Notebook", "Language", "Formats", "CZeroMQ"],
      swiftSettings: strict),
    .executableTarget(
      name: "lull", dependencies: ["Jupyter", "Notebook", "Session", "Formats", "CReadline"],
      swiftSettings: strict),
    .testTarget(name: "NotebookTests", dependencies: ["Notebook", "Formats"]),
    .testTarget(name: "LibraryTests", dependencies: ["Library", "Language"]),
    .testTarget(
      name: "EngineTests", dependencies: ["Engine", "Kernels"],
      exclude: ["make_reference.py", "make_reference_more.py", "reference.bin"],
      swiftSettings: strict),
    .testTarget(name: "LanguageTests", dependencies: ["Language"], swiftSettings: strict),
    .testTarget(name: "FormatsTests", dependencies: ["Formats"], swiftSettings: strict),
    .testTarget(name: "TextTests", dependencies: ["Text", "Formats"], swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
