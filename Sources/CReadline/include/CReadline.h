// GNU readline for a Swift caller: its many global variables stay on this side.
//
// The prompt reads through readline's callback interface and waits in poll() on the terminal and on a
// pipe that the SIGINT handler writes to, so Ctrl-C at the prompt works on whichever thread the
// signal arrives.
#pragma once

// How a read ended.
enum {
  LULL_LINE = 0,         // a line was entered
  LULL_END = 1,          // Ctrl-D on an empty line
  LULL_INTERRUPTED = 2,  // Ctrl-C
};

// Called on Tab with the text before the cursor. Returns a malloc'd string, freed by the shim: the
// candidates, each ended by a newline, for the last `*word_length` bytes of the text.
// `*is_path` says that they are names of files. NULL for no candidates.
typedef char *(*LullCompleter)(const char *text, int *word_length, int *is_path);

// Prepares the terminal; once. `interrupt_descriptor` becomes readable on Ctrl-C.
void lull_readline_start(int interrupt_descriptor, LullCompleter completer);

// Reads one line (it may contain newlines when it was pasted or recalled). `initial` is put into the
// line first. Returns a malloc'd string for LULL_LINE, else NULL.
char *lull_readline(const char *prompt, const char *initial, int *status);

void lull_history_add(const char *entry);
