// Floats as Python prints them.

import Testing

@testable import Formats

@Suite struct PythonReprTests {
  @Test(arguments: [
    (1.0, "1.0"), (-0.0, "-0.0"), (0.1, "0.1"), (1e16, "1e+16"), (1e15, "1000000000000000.0"),
    (1.2e16, "1.2e+16"), (9007199254740992.0, "9007199254740992.0"), (1e-4, "0.0001"),
    (1e-5, "1e-05"), (1.5e-7, "1.5e-07"), (1e22, "1e+22"), (1e100, "1e+100"),
    (Double.leastNonzeroMagnitude, "5e-324"),
    (Double.greatestFiniteMagnitude, "1.7976931348623157e+308"), (123456.789, "123456.789"),
    (0.00012345, "0.00012345"), (100.0, "100.0"), (-2.5, "-2.5"),
  ])
  func matchesPython(_ value: Double, _ text: String) { #expect(pythonRepr(value) == text) }
}
