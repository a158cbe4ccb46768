// The command line's entry: everything runs on one thread with a stack for deep recursion.

import Glibc
import Session

let arguments = CommandLine.arguments
exit(
  runOnLargeStack {
    let status = runCommandLine(Array(arguments.dropFirst()))
    OutputSink.standardOutput.flush()
    OutputSink.standardError.flush()
    return status
  })
