// Hidden state: cells that do not work from top to bottom.
//
// A notebook that was written by running cells here and there may use a name that only a later cell defines, or that
// an earlier one deleted: it worked once and will not again. What a cell reads is found from its text (`NameUse`).

import Language
import Session

/// One thing about the order of cells that a reader should know.
public struct OrderProblem: Sendable {
  /// The cell's number, among code cells, from 1.
  public let cell: Int
  public let text: String
}

extension Notebook {
  /// What reads names too early. `known` are the names that are there before the first cell.
  public func orderProblems(known: (String) -> Bool, session: Session) -> [OrderProblem] {
    let uses = cells.filter { $0.kind == .code }.map { cell in
      cell.tags.contains("skip-execution") ? nil : session.nameUse(cell.source)
    }
    var problems: [OrderProblem] = []
    var defined: Set<String> = []
    var deletedBy: [String: Int] = [:]
    for (i, use) in uses.enumerated() {
      guard let use else { continue }
      for name in use.reads.map(\.name) where !defined.contains(name) && !known(name) {
        if let by = deletedBy[name] {
          problems.append(
            OrderProblem(cell: i + 1, text: "uses '\(name)', which cell \(by) deletes"))
        } else if let later = uses.indices.first(where: {
          $0 > i && uses[$0]?.binds.contains(name) == true
        }) {
          problems.append(
            OrderProblem(
              cell: i + 1,
              text: "uses '\(name)', which only cell \(later + 1), further down, defines"))
        }
      }
      for name in use.deletes {
        defined.remove(name)
        deletedBy[name] = i + 1
      }
      for name in use.binds {
        defined.insert(name)
        deletedBy[name] = nil
      }
    }
    return problems
  }

  /// What the stored numbers of execution say of how the cells were last run.
  public func runOrderProblems() -> [OrderProblem] {
    var problems: [OrderProblem] = []
    var last = 0
    for (i, cell) in cells.filter({ $0.kind == .code }).enumerated() {
      guard let count = cell.executionCount else { continue }
      if count < last {
        problems.append(
          OrderProblem(
            cell: i + 1, text: "was run before the one above it (as number \(count), after \(last))"
          ))
      }
      last = count
    }
    return problems
  }
}
