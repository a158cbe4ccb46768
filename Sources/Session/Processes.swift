// This process among those that mpirun started.
//
// All of them run the same program; the first one talks and writes. When another of them is lost, mpirun ends the
// rest with SIGTERM and, a second later, SIGKILL: in between, what runs is interrupted as by Ctrl-C, so that a
// training run can save.

import Engine
import Glibc
import Kernels

public enum Processes {
  /// How many there are; 1 without mpirun.
  public static var count: Int { ProcessGroup.launchedSize }
  /// This process's number, from 0.
  public static var rank: Int { ProcessGroup.launchedRank }

  /// Interrupts what runs when mpirun ends this process. Nothing when it is alone.
  static func handleTermination() {
    if count == 1 { return }
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in
      if ProcessGroup.launchedRank == 0 {
        let text: StaticString =
          "lull: mpirun ends this run, because another of its processes was lost or mpirun was stopped\n"
        _ = write(2, text.utf8Start, text.utf8CodeUnitCount)
      }
      Interrupts.raise()
    }
    sigaction(SIGTERM, &action, nil)
  }
}
