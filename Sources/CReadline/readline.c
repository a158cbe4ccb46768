#include "CReadline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

static LullCompleter completer;
static int interrupt_descriptor = -1;
static char *line_read;
static int is_done;
static const char *initial_text;
static int keys_after_interrupt;

static void take_line(char *line) {
  line_read = line;
  is_done = 1;
  rl_callback_handler_remove();
}

static int insert_initial(void) {
  if (initial_text && *initial_text) rl_insert_text(initial_text);
  return 0;
}

// Readline asks for the candidates twice over; they are split once here.
static char **no_words(const char *text, int start, int end) {
  (void)text, (void)start, (void)end;
  rl_attempted_completion_over = 1;
  return NULL;
}

// Tab: four blanks in the indentation, else completion. Done here and not by rl_complete(), whose
// idea of a word is fixed for the whole line: a string holds file names, code holds dotted names.
static int complete_here(int count, int key) {
  (void)key;
  int blank = 1;
  for (int i = rl_point - 1; i >= 0 && rl_line_buffer[i] != '\n'; i--)
    if (rl_line_buffer[i] != ' ' && rl_line_buffer[i] != '\t') blank = 0;
  if (blank) return rl_insert_text("    "), 0;
  if (!completer) return 0;
  char *before = strndup(rl_line_buffer, (size_t)rl_point);
  if (!before) return 0;
  int length = 0, is_path = 0;
  char *all = completer(before, &length, &is_path);
  free(before);
  if (!all || !*all || length > rl_point) {
    free(all);
    rl_ding();
    return 0;
  }
  int n = 0;
  for (char *p = all; *p; p++) n += *p == '\n';
  char **matches = calloc((size_t)n + 2, sizeof *matches);
  if (!matches) return free(all), 0;
  int longest = 0;
  char *next = all;
  for (int i = 1; i <= n; i++) {
    char *end = strchr(next, '\n');
    if (!end) break;
    *end = 0;
    matches[i] = next;
    int width = (int)strlen(next);
    if (width > longest) longest = width;
    next = end + 1;
  }
  // What all candidates begin with.
  int common = (int)strlen(matches[1]);
  for (int i = 2; i <= n; i++) {
    int k = 0;
    while (k < common && matches[i][k] == matches[1][k]) k++;
    common = k;
  }
  // Never half a character.
  while (common > 0 && n > 1 && ((unsigned char)matches[1][common] & 0xC0) == 0x80) common--;
  if (common > length || n == 1) {
    rl_begin_undo_group();
    rl_delete_text(rl_point - length, rl_point);
    rl_point -= length;
    char *text = strndup(matches[1], (size_t)common);
    if (text) rl_insert_text(text);
    free(text);
    rl_end_undo_group();
  } else {
    matches[0] = matches[1];
    rl_filename_completion_desired = is_path;
    rl_display_match_list(matches, n, longest);
    rl_forced_update_display();
  }
  free(matches);
  free(all);
  return count * 0;
}

// A key, or Ctrl-C's code when an interrupt waits in the pipe. The terminal throws typed keys away at Ctrl-C: readline, which
// saw that there are some, must not wait for them for ever, so the read itself never blocks.
static int next_key(FILE *in) {
  int descriptor = fileno(in);
  for (;;) {
    struct pollfd waits[2] = {{descriptor, POLLIN, 0}, {interrupt_descriptor, POLLIN, 0}};
    if (poll(waits, interrupt_descriptor < 0 ? 1 : 2, -1) < 0) {
      if (errno == EINTR) continue;
      return EOF;
    }
    // Once as a key; what reads on (the end of a paste that was thrown away) meets the end.
    if (waits[1].revents & POLLIN) return keys_after_interrupt++ ? EOF : 3;
    if (!waits[0].revents) continue;
    unsigned char key;
    int flags = fcntl(descriptor, F_GETFL);
    fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
    ssize_t got = read(descriptor, &key, 1);
    int problem = errno;
    fcntl(descriptor, F_SETFL, flags);
    if (got == 1) return key;
    if (got == 0 || (problem != EAGAIN && problem != EINTR)) return EOF;
  }
}

static int ignore_key(int count, int key) {
  (void)count, (void)key;
  return 0;
}

static int insert_newline(int count, int key) {
  (void)count, (void)key;
  rl_insert_text("\n");
  return 0;
}

void lull_readline_start(int descriptor, LullCompleter complete) {
  interrupt_descriptor = descriptor;
  completer = complete;
  rl_readline_name = "lull";
  rl_catch_signals = 0;
  rl_catch_sigwinch = 1;
  rl_attempted_completion_function = no_words;
  rl_startup_hook = insert_initial;
  rl_initialize();
  rl_variable_bind("enable-bracketed-paste", "on");
  rl_bind_key('\t', complete_here);
  rl_getc_function = next_key;
  rl_bind_key(3, ignore_key);
  // Alt-Enter adds a line to the entry instead of ending it.
  rl_bind_keyseq("\\e\\C-m", insert_newline);
  using_history();
  stifle_history(10000);
}

// Whether an interrupt came; takes it out of the pipe.
static int take_interrupt(void) {
  char drained[64];
  return interrupt_descriptor >= 0 && read(interrupt_descriptor, drained, sizeof drained) > 0;
}

char *lull_readline(const char *prompt, const char *initial, int *status) {
  line_read = NULL;
  is_done = 0;
  keys_after_interrupt = 0;
  initial_text = initial;
  *status = LULL_LINE;
  rl_callback_handler_install(prompt, take_line);
  int is_interrupted = 0;
  while (!is_done && !is_interrupted) {
    struct pollfd waits[2] = {{0, POLLIN, 0}, {interrupt_descriptor, POLLIN, 0}};
    int n = poll(waits, 2, -1);
    if (n < 0) {
      if (errno == EINTR) continue;
      break;
    }
    if (waits[1].revents & POLLIN) is_interrupted = take_interrupt();
    else if (waits[0].revents) rl_callback_read_char();
  }
  if (line_read) return line_read;
  // An interrupt in the middle of a key ends the line, too.
  if (!is_interrupted) is_interrupted = take_interrupt();
  if (is_interrupted) {
    rl_free_line_state();
    rl_callback_sigcleanup();
  }
  if (!is_done || is_interrupted) rl_callback_handler_remove();
  if (is_interrupted) {
    fputs("^C\n", rl_outstream ? rl_outstream : stdout);
    fflush(rl_outstream ? rl_outstream : stdout);
  }
  *status = is_interrupted ? LULL_INTERRUPTED : LULL_END;
  return NULL;
}

void lull_history_add(const char *entry) { add_history(entry); }
