// Commands that teach, and plot: their records. The work is in the language, stdlib/lull/teaching and stdlib/lull/plots;
// each gives an object that a terminal shows as text and a notebook as HTML or SVG.

import Language

extension Session {
  /// A record whose work is the function of the same name in a module of the library.
  func libraryRecord(
    _ name: String, _ signature: String, in module: String, chapter: String, _ doc: String,
    _ examples: [String]
  ) -> Builtin {
    // The record is known only once it is made, and its code needs it.
    final class Box { var record: Builtin? }
    let box = Box()
    let record = Builtin(name, signature, chapter: chapter, doc: doc, examples: examples) {
      [unowned self] (a) throws(LullError) in
      guard let record = box.record else { return .none }
      return try self.callLibrary(module, name, a, record)
    }
    box.record = record
    return record
  }

  private func lesson(
    _ name: String, _ signature: String, style: Command.Style = .words,
    kinds: [String: ArgumentKind] = [:], _ doc: String, _ examples: [String]
  ) -> Command {
    Command(
      libraryRecord(
        name, signature, in: "lull.teaching.\(name)", chapter: "teaching", doc, examples),
      style: style, kinds: kinds, showsResult: true)
  }

  func teachingCommands() -> [Command] {
    [
      lesson(
        "shapes", "shapes(what, /, _line=0)", style: .source,
        "The source with the shape of every part written under it, and the dtype where it changes; evaluates no array.",
        ["%shapes (x - x.mean(axis=0)) @ w + b"]),
      lesson(
        "broadcast", "broadcast(*shapes)", kinds: ["shapes": .text],
        "How shapes are lined up from the right, which axes are stretched, and the result; arrays, expressions or shapes such as (3,1).",
        ["%broadcast (3,1) (4,)", "%broadcast x bias"]),
      lesson(
        "axis", "axis(what, /, _line=0)", style: .source,
        "What a reduction along an axis keeps and removes, drawn with the numbers; evaluates the array.",
        ["%axis sum(x, axis=0)", "%axis x.max(axis=1, keepdims=True)"]),
      lesson(
        "strides", "strides(what, /, _line=0)", style: .source,
        "How an array lies in memory: buffer, offset, strides, the order in which its elements are visited, what shares it, and whether a reshape copies.",
        ["%strides x.T"]),
      lesson(
        "lazy", "lazy(name=None, /)", kinds: ["name": .text],
        "What is pending and why: names, operations, bytes; with a name, the steps that will be run. Evaluates nothing.",
        ["%lazy", "%lazy y"]),
      lesson(
        "why", "why(name, /)", kinds: ["name": .text],
        "The lines that made a value, and those that made what they use.", ["%why loss"]),
      lesson(
        "compare", "compare(a, b, /, rtol=1e-5, atol=1e-8)",
        "Where and by how much two arrays differ: shape, dtype, largest difference, its place, units in the last place, NaN.",
        ["%compare a b", "%compare a b --rtol 1e-3"]),
      lesson(
        "graph", "graph(what, /, _line=0)", style: .source,
        "The graph of pending operations: a drawing by Graphviz in a notebook, a tree in a terminal; evaluates nothing.",
        ["%graph softmax(x @ w)"]),
      lesson(
        "quiz", "quiz(topic=None, answer=..., /, *, seed=None)",
        kinds: ["topic": .text, "answer": .text],
        "An exercise with a checked answer; on broadcasting, indexing, axes, dtypes, views or laziness; then `%quiz answer EXPRESSION`, `%quiz hint`, `%quiz skip`, `%quiz score`.",
        ["%quiz broadcasting", "%quiz answer (3, 4)", "%quiz hint"]),
    ]
  }

  func plotCommands() -> [Command] {
    [
      Command(
        libraryRecord(
          "plot",
          "plot(*data, kind=\"line\", label=None, title=None, xlabel=None, ylabel=None, xscale=None, yscale=None, xlim=None, ylim=None, legend=None, size=None, style=None, marker=None, color=None, width=None, yerr=None, bins=None, grid=None, figure=None)",
          in: "lull.plots", chapter: "plots",
          "Draw y, or x and y, with gnuplot; a line, or --kind scatter, bar, hist, heatmap or image.",
          ["%plot x sin(x)", "%plot loss --title 'Training loss' --yscale log"]),
        kinds: [
          "kind": .text, "title": .text, "xlabel": .text, "ylabel": .text, "xscale": .text,
          "yscale": .text, "style": .text, "marker": .text, "color": .text,
        ], showsResult: true)
    ]
  }

  /// Names of the prelude that are functions of the plotting and media modules.
  static let mediaNames: [String: (module: String, attribute: String?)] = {
    var names: [String: (module: String, attribute: String?)] = [:]
    for name in ["scatter", "bar", "hist", "heatmap", "imshow", "figure", "errorbar"] {
      names[name] = ("lull.plots", name)
    }
    for name in ["show_image", "show_audio"] { names[name] = ("lull.media", name) }
    return names
  }()
}
