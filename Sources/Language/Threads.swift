// The threads of a program: threads of the system with one baton.
//
// Only the thread that has the baton runs. It hands it on where it waits (a lock, an event, `sleep`, `join`), where
// it asks what only others can change (`is_alive`, `is_set`) for longer than a slice of time, and when it ends. So
// nothing in here, in the engine or in the library is ever entered by two at once, and code between such points is
// not interrupted by another thread. What the machine and the modules keep for the running thread (frames, registers,
// the exception being handled, the limit of the native stack, half-built arguments) is saved when the baton goes and
// restored when it comes back; each thread has registers, frames and a native stack of its own.
//
// `_thread` has four operations (start, wait, wake, pause); locks, conditions and the rest are written with them in
// stdlib/threading.lull.
//
// Rejected: stacks that are switched by hand, for Swift's runtime keeps notes in thread-local storage; a switch after
// any instruction, which would make programs' results depend on time.
import Glibc
import Kernels

/// The number of the thread of the program that runs; 0 is the main one.
nonisolated(unsafe) public private(set) var currentThread = 0

/// What other modules keep for the running thread: each saves its state, sets it as a new thread expects it, and
/// gives the way back.
nonisolated(unsafe) public var threadStates: [() -> () -> Void] = []

/// A thread of the program, in a list that only the running thread looks at.
private final class ProgramThread {
  let number: Int
  let baton = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
  /// What it calls; owned.
  var function: Value
  let isDaemon: Bool
  /// It waits for `wake`, until `deadline` if there is one.
  var isWaiting = false
  var isWoken = false
  var deadline: Double?
  /// KeyboardInterrupt is to be raised in it.
  var isInterrupted = false
  /// Its place among those that could run.
  var turn = 0
  var memory = ThreadMemory()

  init(_ number: Int, _ function: Value, isDaemon: Bool) {
    self.number = number
    self.function = function
    self.isDaemon = isDaemon
    sem_init(baton, 0, 0)
  }
  deinit {
    sem_destroy(baton)
    baton.deallocate()
  }

  /// The frame that it waits in, while another runs.
  var savedFrame: FramePtr?
  private var restore: [() -> Void] = []

  func save() {
    let m = vm.pointee
    savedFrame = m.frame
    restore = threadStates.map { $0() }
    restore.append(saveReprs())
    restore.append(saveBindings())
    restore.append(saveDestruction())
    restore.append {
      vm.pointee.frame = m.frame
      vm.pointee.frameTop = m.frameTop
      vm.pointee.stackBase = m.stackBase
      vm.pointee.stackLimit = m.stackLimit
      vm.pointee.depth = m.depth
      vm.pointee.handled = m.handled
      vm.pointee.result = m.result
      vm.pointee.nativeLimit = m.nativeLimit
    }
  }
  func resume() {
    for step in restore { step() }
    restore = []
    savedFrame = nil
  }
}

/// The registers and frames of a thread; the system commits what is used.
private struct ThreadMemory {
  static let registerBytes = 64 << 20
  static let frameBytes = (2 << 20) * MemoryLayout<Frame>.stride
  var registers: UnsafeMutableRawPointer?
  var frames: UnsafeMutableRawPointer?

  init() {}
  init?(reserving: Void) {
    func map(_ bytes: Int) -> UnsafeMutableRawPointer? {
      let p = mmap(
        nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
      return p == MAP_FAILED ? nil : p
    }
    guard let registers = map(ThreadMemory.registerBytes) else { return nil }
    guard let frames = map(ThreadMemory.frameBytes) else {
      munmap(registers, ThreadMemory.registerBytes)
      return nil
    }
    self.registers = registers
    self.frames = frames
  }
  func free() {
    if let registers { munmap(registers, ThreadMemory.registerBytes) }
    if let frames { munmap(frames, ThreadMemory.frameBytes) }
  }
}

enum Threads {
  nonisolated(unsafe) private static let main = ProgramThread(0, .undefined, isDaemon: false)
  nonisolated(unsafe) private static var running = main
  /// All that have not ended.
  nonisolated(unsafe) private static var all = [main]
  nonisolated(unsafe) private static var count = 0
  nonisolated(unsafe) private static var turns = 0
  nonisolated(unsafe) private static var sliceEnd = 0.0
  nonisolated(unsafe) private static var isFinishing = false

  private static let sliceSeconds = 0.005
  private static let stackBytes = 16 << 20

  static var areSeveral: Bool { all.count > 1 }

  static func now() -> Double {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
  }

  private static func nextTurn() -> Int {
    turns += 1
    return turns
  }

  // MARK: Handing the baton on

  /// Whoever could run for the longest time, the running thread aside.
  private static func ready(_ time: Double) -> ProgramThread? {
    var found: ProgramThread?
    for t in all where t !== running {
      if t.isWaiting, !t.isWoken, !t.isInterrupted {
        guard let end = t.deadline, end <= time else { continue }
        // Its time is up: it takes its place once.
        t.deadline = -1
        if end >= 0 { t.turn = nextTurn() }
      }
      if found.map({ t.turn < $0.turn }) ?? true { found = t }
    }
    return found
  }

  /// Lets another thread run; comes back when this one has the baton again.
  private static func hand(to next: ProgramThread) {
    let me = running
    me.save()
    announce(next)
    sem_post(next.baton)
    while sem_wait(me.baton) != 0 {}
    me.resume()
  }
  private static func announce(_ next: ProgramThread) {
    running = next
    currentThread = next.number
    sliceEnd = now() + sliceSeconds
  }

  /// Waits for `wake` or until the time is up; whether it was woken.
  static func wait(seconds: Double?) throws(LullError) -> Bool {
    let me = running
    me.deadline = seconds.map { now() + $0 }
    me.isWaiting = true
    defer {
      me.isWaiting = false
      me.isWoken = false
      me.deadline = nil
    }
    while true {
      if vm.pointee.interruptFlag == Request.interrupt {
        vm.pointee.interruptFlag = 0
        interruptMain()
      }
      try raiseInterrupt()
      if me.isWoken { return true }
      let time = now()
      if let end = me.deadline, end <= time { return false }
      if let next = ready(time) {
        hand(to: next)
        continue
      }
      // Nobody can run: only time or the user goes on.
      guard let end = all.compactMap(\.deadline).min() else {
        throw LullError.runtime(
          all.count == 1
            ? "the only thread waits for what only another could bring about: waiting would never end"
            : "all threads wait for each other: waiting would never end")
      }
      usleep(UInt32(Swift.min(Swift.max(end - time, 0), 0.05) * 1e6))
    }
  }

  static func wake(_ number: Int) {
    guard let t = all.first(where: { $0.number == number }), t.isWaiting, !t.isWoken else { return }
    t.isWoken = true
    t.turn = nextTurn()
  }

  /// Lets others run that can; `always`, or when this one has run for a slice of time.
  static func pause(always: Bool) throws(LullError) {
    if all.count == 1 { return }
    let time = now()
    if !always, time < sliceEnd { return }
    let me = running
    me.turn = nextTurn()
    guard let next = ready(time) else { return }
    hand(to: next)
    try raiseInterrupt()
  }

  /// Raises KeyboardInterrupt in the main thread where it waits, or in its next call.
  static func interruptMain() {
    main.isInterrupted = true
    main.turn = 0
  }
  /// In the running thread, if it is to be interrupted.
  private static func raiseInterrupt() throws(LullError) {
    guard running.isInterrupted else { return }
    running.isInterrupted = false
    lull_interrupt_set(0)
    throw LullError("KeyboardInterrupt", "")
  }

  // MARK: A thread's life

  /// Makes a thread that calls a function (borrowed) and lets it run at once; gives its number.
  static func start(_ function: Value, isDaemon: Bool) throws(LullError) -> Int {
    func refuse() -> LullError { .runtime("can't start new thread") }
    count += 1
    let t = ProgramThread(count, function.retained(), isDaemon: isDaemon)
    guard let memory = ThreadMemory(reserving: ()) else {
      function.release()
      throw refuse()
    }
    t.memory = memory
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, stackBytes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    // Signals are for the main thread.
    var mask = sigset_t()
    var old = sigset_t()
    sigfillset(&mask)
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP] { sigdelset(&mask, fault) }
    pthread_sigmask(SIG_BLOCK, &mask, &old)
    let passed = Unmanaged.passRetained(t)
    var thread = pthread_t()
    let failed = pthread_create(
      &thread, &attributes,
      { argument in
        if let argument {
          let t = Unmanaged<ProgramThread>.fromOpaque(argument).takeRetainedValue()
          while sem_wait(t.baton) != 0 {}
          Threads.run(t)
        }
        return nil
      }, passed.toOpaque())
    pthread_sigmask(SIG_SETMASK, &old, nil)
    if failed != 0 {
      passed.release()
      memory.free()
      function.release()
      throw refuse()
    }
    all.append(t)
    let me = running
    me.turn = nextTurn()
    hand(to: t)
    try raiseInterrupt()
    return t.number
  }

  private static func run(_ t: ProgramThread) {
    guard let registers = t.memory.registers, let frames = t.memory.frames else { return }
    let slots = ThreadMemory.registerBytes / MemoryLayout<Value>.stride
    vm.pointee.frame = nil
    vm.pointee.frameTop = frames.bindMemory(
      to: Frame.self, capacity: ThreadMemory.frameBytes / MemoryLayout<Frame>.stride)
    vm.pointee.stackBase = registers.bindMemory(to: Value.self, capacity: slots)
    vm.pointee.stackLimit = vm.pointee.stackBase + (slots - 70000)
    vm.pointee.depth = 0
    vm.pointee.handled = .undefined
    vm.pointee.result = .undefined
    vm.pointee.nativeLimit = nativeStackLimit()
    makeBindings()
    do throws(LullError) {
      try callValue(t.function, []).release()
    } catch {
      // `threading` prints what a program raises; this is an error in it.
      standardError.write(renderTraceback(error))
    }
    vm.pointee.handled.release()
    t.function.release()
    t.function = .undefined
    t.memory.free()
    freeBindings()
    all.removeAll { $0 === t }
    if isFinishing { wake(0) }
    // Somebody waits; the main thread sees to it where nobody can run.
    let next = ready(now()) ?? main
    announce(next)
    sem_post(next.baton)
  }

  /// Waits in the main thread for those that are no daemons. False where they wait for each other, or after an
  /// interrupt.
  static func finish() -> Bool {
    isFinishing = true
    defer { isFinishing = false }
    while all.contains(where: { $0 !== main && !$0.isDaemon }) {
      // Whoever ends wakes this one.
      do throws(LullError) { _ = try wait(seconds: nil) } catch {
        if error.kind == "RuntimeError" {
          standardError.write("The threads that are left wait for each other and never end.\n")
        }
        return false
      }
    }
    return true
  }

  /// The innermost frames of the threads that wait for the baton.
  static var waitingFrames: [FramePtr] { all.compactMap(\.savedFrame) }
}

extension Interpreter {
  /// Lets the threads that a program has started and that are no daemons come to their end; call it where the program
  /// ends. False when they were interrupted.
  @discardableResult
  public func finishThreads() -> Bool { Threads.finish() }
}

func threadModule() -> NativeModule {
  NativeModule(builtins: [
    Builtin(
      "start", "start(function, daemon, /)", chapter: "threading",
      doc: "Calls a function in a new thread, which runs at once until it waits; gives its number."
    ) { (a) throws(LullError) in
      Value(try Threads.start(a[0], isDaemon: try a.bool(1)))
    },
    Builtin(
      "wait", "wait(seconds, /)", chapter: "threading",
      doc: "Waits for `wake`, or until the time is up (None: never); whether it was woken."
    ) { (a) throws(LullError) in
      Value(try Threads.wait(seconds: a.isNone(0) ? nil : try a.double(0)))
    },
    Builtin(
      "wake", "wake(number, /)", chapter: "threading",
      doc: "Ends the waiting of a thread; it runs when this one waits."
    ) { (a) throws(LullError) in
      Threads.wake(try a.int(0))
      return .none
    },
    Builtin(
      "pause", "pause()", chapter: "threading",
      doc: "Lets other threads run if this one has run for a while."
    ) { (a) throws(LullError) in
      try Threads.pause(always: false)
      return .none
    },
    Builtin(
      "current", "current()", chapter: "threading", doc: "The number of the thread that runs."
    ) { (a) throws(LullError) in Value(currentThread) },
    Builtin(
      "interrupt_main", "interrupt_main()", chapter: "threading",
      doc: "Raises KeyboardInterrupt in the main thread."
    ) { (a) throws(LullError) in
      if currentThread == 0 { throw LullError("KeyboardInterrupt", "") }
      Threads.interruptMain()
      return .none
    },
  ])
}
