// What the engine keeps for the program's running thread.

public enum EngineThreadState {
  /// Sets it as a new thread expects it; gives the way back.
  public static func save() -> () -> Void {
    let (position, shapeless) = (currentPosition, Tracing.isShapeless)
    Tracing.isShapeless = false
    return {
      currentPosition = position
      Tracing.isShapeless = shapeless
    }
  }
}
