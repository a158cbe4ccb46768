// This process among those that mpirun started.
//
// All of them run the same program; the first one talks and writes. When another of them is lost, mpirun ends the
// rest with SIGTERM and, a second later, SIGKILL: in between, what runs is interrupted as by Ctrl-C, so that a
// training run can save (`Interrupts.handleTermination`).

import Engine

public enum Processes {
  /// How many there are; 1 without mpirun.
  public static var count: Int { ProcessGroup.launchedSize }
  /// This process's number, from 0.
  public static var rank: Int { ProcessGroup.launchedRank }

}
