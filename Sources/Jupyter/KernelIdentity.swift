// What the kernel says of itself.

import Formats
import Notebook
import Session

enum KernelIdentity {
  static let protocolVersion = "5.3"

  /// The content of a kernel_info_reply. Made anew each time: two threads ask for it.
  static var information: JSON {
    [
      "status": "ok", "protocol_version": .string(protocolVersion), "implementation": "lull",
      "implementation_version": .string(Installation.version),
      "language_info": languageInformation,
      "banner": .string(
        "Lull \(Installation.version): arrays and local language models. "
          + "%help lists commands, name? says what a name is.\n"),
      "debugger": false, "help_links": [], "supported_features": [],
    ]
  }
}
