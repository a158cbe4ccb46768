// safetensors, npy, npz and GGUF: reading, writing, refusing.

import Foundation
import Testing

@testable import Formats

@Suite struct TensorFileTests {
  private func temporary(_ name: String) -> String {
    FileManager.default.temporaryDirectory
      .appendingPathComponent("lull-\(UUID().uuidString)-\(name)").path
  }

  static let gguf: [String] = [Fixtures.shared, Fixtures.committed].flatMap { root in
    Fixtures.entries("\(root)/gguf").filter { $0.hasSuffix(".gguf") }.map { "\(root)/gguf/\($0)" }
  }

  @Test(arguments: gguf)
  func readsGGUF(_ path: String) throws {
    let file = try GGUF(path: path)
    #expect(file["general.architecture"]?.string != nil)
    #expect(file["tokenizer.ggml.tokens"]?.array?.count ?? 0 >= 320)
    #expect(!file.tensors.isEmpty)
    for tensor in file.tensors {
      let bytes = tensor.elementCount / tensor.type.blockSize * tensor.type.blockBytes
      #expect(bytes == tensor.range.count)
      #expect(tensor.range.lowerBound % file.alignment == 0)
    }
    let embedding = try #require(file.tensor("token_embd.weight"))
    #expect(
      embedding.shape.last
        == file.keys.first { $0.hasSuffix(".embedding_length") }
        .flatMap { file[$0]?.int })
  }

  @Test func readsAllSafetensors() throws {
    for folder in ["\(Fixtures.shared)/mlx_quant", "\(Fixtures.committed)/safetensors"] {
      for name in Fixtures.entries(folder) where name.hasSuffix(".safetensors") {
        let file = try Safetensors(path: "\(folder)/\(name)")
        #expect(file["w"]?.shape == [8, 256])
        #expect(file["w"]?.type == .float32)
      }
    }
    for name in Fixtures.entries("\(Fixtures.shared)/models") {
      let model = try SafetensorsModel(path: "\(Fixtures.shared)/models/\(name)")
      #expect(model.tensors.count > 10)
    }
  }

  @Test func writesSafetensors() throws {
    let path = temporary("a.safetensors")
    defer { unlink(path) }
    let floats: [Float] = [1, 2, 3, 4, 5, 6]
    let bytes: [UInt8] = [7, 8, 9]
    try floats.withUnsafeBytes { floats in
      try bytes.withUnsafeBytes { bytes in
        try writeSafetensors(
          [
            TensorSource(name: "b", type: .uint8, shape: [3], bytes: bytes),
            TensorSource(name: "a", type: .float32, shape: [2, 3], bytes: floats),
            TensorSource(name: "e", type: .float32, shape: [0], bytes: .init(start: nil, count: 0)),
          ], metadata: [("format", "pt")], to: path)
      }
    }
    let file = try Safetensors(path: path)
    #expect(file.metadata.first?.value == "pt")
    #expect(file["a"]?.shape == [2, 3])
    #expect(file["a"]?.bytes.loadUnaligned(fromByteOffset: 20, as: Float.self) == 6)
    #expect(file["b"].map { Array($0.bytes) } == bytes)
    #expect(file["e"]?.bytes.count == 0)
  }

  @Test func npy() throws {
    let folder = "\(Fixtures.committed)/npy"
    for entry in try JSON.load("\(folder)/index.json").array ?? [] {
      let array = try NpyArray(path: "\(folder)/\(entry["file"]?.string ?? "").npy")
      #expect(String(array.type.kind) == entry["kind"]?.string)
      #expect(array.type.itemSize == entry["size"]?.int)
      #expect(array.shape == entry["shape"]?.intArray)
      let hex = array.bytes.map { String(format: "%02x", $0) }.joined()
      #expect(hex == entry["hex"]?.string)
    }
    #expect(try NpyArray(path: "\(folder)/fortran.npy").isFortranOrder)
    #expect(try NpyArray(path: "\(folder)/scalar.npy").shape == [])
    #expect(try NpyArray(path: "\(folder)/empty.npy").shape == [0, 4])
    #expect(try NpyArray(path: "\(folder)/version2.npy").shape == [3])
    #expect(try NpyArray(path: "\(folder)/t_f4_big.npy").type.isBigEndian)
    let npz = try Npz(path: "\(folder)/two.npz")
    #expect(npz.names == ["first", "second"])
    #expect(npz["second"]?.type.element == .float64)
    #expect(throws: FormatError.self) { try NpyArray(path: "\(folder)/objects.npy") }
    let deflated = try Npz(path: "\(folder)/deflated.npz")
    #expect(deflated["a"]?.shape == [100] && deflated["a"]?.type.element == .float64)
    #expect(deflated["a"]?.bytes.allSatisfy { $0 == 0 } == true)
  }

  @Test func writesNpyAndNpz() throws {
    let path = temporary("a.npy")
    let archive = temporary("a.npz")
    defer {
      unlink(path)
      unlink(archive)
    }
    let values: [Int64] = [1, -2, 3]
    try values.withUnsafeBytes { bytes in
      let source = TensorSource(name: "x", type: .int64, shape: [3], bytes: bytes)
      try writeNpy(source, to: path)
      try writeNpz(
        [source, TensorSource(name: "y", type: .uint8, shape: [24], bytes: bytes)], to: archive)
    }
    let array = try NpyArray(path: path)
    #expect(array.shape == [3] && array.type.element == .int64 && array.range.lowerBound % 64 == 0)
    let npz = try Npz(path: archive)
    #expect(npz.names == ["x", "y"])
    for array in npz.arrays {
      #expect(array.range.lowerBound % 64 == 0)
      values.withUnsafeBytes { #expect(array.bytes.elementsEqual($0)) }
    }
  }

  @Test func atomicFilesReplaceWhole() throws {
    let path = temporary("t.txt")
    defer { unlink(path) }
    try writeAtomically("one", to: path)
    do {
      let file = try AtomicFile(path: path)
      try file.write("half")
    }
    #expect(try readFile(path) == Array("one".utf8))
    try writeAtomically("two", to: path)
    #expect(try readFile(path) == Array("two".utf8))
    #expect(throws: FormatError.self) { try writeAtomically("x", to: "/nonexistent/x") }
    #expect(throws: FormatError.self) { try MappedFile(path: "/tmp") }
  }
}
