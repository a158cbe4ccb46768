// libsndfile and libsamplerate, opened at run time on first use.
//
// Few programs read sound, and linked at start-up the two would cost every run some milliseconds. Reading gives one
// channel (the mean of all) of float32 samples at the rate asked for. Only regular files are opened; nothing that a file says of its
// length is believed: samples are read until there are no more.
#pragma once
#include <stdint.h>

// 0 when libsndfile is there. Cheap after the first call.
int lull_sound_load(void);
// Why it could not be opened.
const char *lull_sound_description(void);

typedef struct {
  int64_t frames;  // as the header says; not to be relied on
  int32_t rate, channels, format;
} LullSoundInfo;

typedef struct LullSound LullSound;

// NULL where the file cannot be opened; `message` says why.
LullSound *lull_sound_open(const char *path, LullSoundInfo *info, char *message, int message_size);
// Reads at the given rate from here on (0: the file's own). 0, or not 0 with a message.
int lull_sound_set_rate(LullSound *sound, int rate, char *message, int message_size);
// The next samples, at most `count`: how many, 0 at the end, -1 where the file is damaged (message) or memory ran out.
int64_t lull_sound_read(LullSound *sound, float *out, int64_t count, char *message, int message_size);
// How many samples there are in all at the rate asked for, once the end was reached: converting a rate leaves one too few or too many.
int64_t lull_sound_total(const LullSound *sound);
void lull_sound_close(LullSound *sound);

// Whether libsndfile can write this format (its SF_FORMAT bits).
int lull_sound_can_write(int format, int rate);
// Writes one channel. 0, or not 0 with a message.
int lull_sound_write(const char *path, int format, int rate, const float *samples, int64_t count, char *message,
                     int message_size);
