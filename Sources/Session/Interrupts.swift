// Interrupts and time limits.
//
// Ctrl-C and a cell's time limit do the same: they raise two flags, the interpreter's, which the
// machine reads at every backward jump and call, and the engine's, which kernels read between
// tiles. Both are plain words that a signal handler may write. A cell lowers them when it starts
// and when it ends, so a late signal never stops the next cell.

import Glibc
import Kernels

/// Everything that the handlers touch; set before they are installed and never freed.
nonisolated(unsafe) private var interpreterFlag: UnsafeMutablePointer<Int32>?
nonisolated(unsafe) private var timeIsUp = sig_atomic_t(0)
nonisolated(unsafe) private var interruptsSeen = sig_atomic_t(0)

private func raiseFlags() {
  interpreterFlag?.pointee = 1
  lull_interrupt_set(1)
}

public enum Interrupts {
  /// Connects SIGINT with the flags; `flag` is the interpreter's.
  static func install(flag: UnsafeMutablePointer<Int32>) {
    interpreterFlag = flag
    handle(SIGINT) { _ in
      interruptsSeen &+= 1
      raiseFlags()
    }
    if Processes.count > 1 { handleTermination() }
  }

  /// Lets SIGTERM, too, stop what runs, so that it can keep what it has.
  public static func handleTermination() {
    handle(SIGTERM) { _ in
      if Processes.count > 1, Processes.rank == 0 {
        let text: StaticString =
          "lull: mpirun ends this run, because another of its processes was lost or mpirun was stopped\n"
        _ = write(2, text.utf8Start, text.utf8CodeUnitCount)
      }
      interruptsSeen &+= 1
      raiseFlags()
    }
  }

  private static func handle(_ signal: Int32, _ body: @escaping @convention(c) (Int32) -> Void) {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = body
    // Without SA_RESTART: a blocked read returns, so that input() can be interrupted.
    sigaction(signal, &action, nil)
  }

  /// Stops what runs, as Ctrl-C does.
  public static func raise() { raiseFlags() }

  /// Whether what runs was asked to stop and has not seen it yet.
  public static var isRaised: Bool { interpreterFlag?.pointee == 1 }

  /// Forgets an interrupt that came when nothing ran.
  public static func lower() {
    interpreterFlag?.pointee = 0
    lull_interrupt_set(0)
  }

  /// How many signals to stop came so far.
  public static var count: Int { Int(interruptsSeen) }

  // MARK: - Time limits

  /// Seconds that a cell gets to stop by itself after its time was up; then the process ends.
  static let graceSeconds = 10.0

  /// Interrupts the running cell after `seconds`, until `endTimer()`.
  public static func startTimer(seconds: Double) {
    timeIsUp = 0
    handle(SIGALRM) { _ in
      if timeIsUp != 0 {
        let text: StaticString =
          "lull: the cell did not stop when its time was up; giving up\n"
        _ = write(2, text.utf8Start, text.utf8CodeUnitCount)
        _exit(1)
      }
      timeIsUp = 1
      raiseFlags()
    }
    let first = max(seconds, 0.001)
    setTimer(first, repeating: graceSeconds)
  }

  /// Ends the timer; true when it had fired.
  public static func endTimer() -> Bool {
    setTimer(0, repeating: 0)
    return timeIsUp != 0
  }

  private static func setTimer(_ seconds: Double, repeating: Double) {
    func interval(_ seconds: Double) -> timeval {
      let whole = min(seconds, 1e9)
      return timeval(
        tv_sec: Int(whole), tv_usec: Int((whole - whole.rounded(.down)) * 1e6))
    }
    var timer = itimerval(it_interval: interval(repeating), it_value: interval(seconds))
    setitimer(__itimer_which_t(ITIMER_REAL.rawValue), &timer, nil)
  }
}

// MARK: - The thread that runs everything

private final class ThreadBody {
  let body: () -> Int32
  var result: Int32 = 1
  init(_ body: @escaping () -> Int32) { self.body = body }
}

/// Runs `body` on a thread with a stack for deep recursion, and waits for it. Pages of the stack
/// cost nothing until they are touched.
public func runOnLargeStack(byteCount: Int = 512 << 20, _ body: @escaping () -> Int32) -> Int32 {
  let box = ThreadBody(body)
  var attributes = pthread_attr_t()
  pthread_attr_init(&attributes)
  defer { pthread_attr_destroy(&attributes) }
  pthread_attr_setstacksize(&attributes, byteCount)
  var thread = pthread_t()
  let failed = pthread_create(
    &thread, &attributes,
    { argument in
      if let argument {
        let box = Unmanaged<ThreadBody>.fromOpaque(argument).takeUnretainedValue()
        box.result = box.body()
      }
      return nil
    }, Unmanaged.passUnretained(box).toOpaque())
  // A limit on memory may forbid the large stack; the ordinary one still runs most programs.
  if failed != 0 { return body() }
  // Signals are for the thread that works.
  var mask = sigset_t()
  sigemptyset(&mask)
  sigaddset(&mask, SIGINT)
  sigaddset(&mask, SIGALRM)
  sigaddset(&mask, SIGTERM)
  sigaddset(&mask, SIGWINCH)
  pthread_sigmask(SIG_BLOCK, &mask, nil)
  pthread_join(thread, nil)
  return box.result
}
