// Tests of the interpreter that need no program file. They share one machine, so they run one after
// the other.

import Foundation
import Language
import Testing

@Suite(.serialized) struct LanguageTests {}
