// The handle of the opened library, for this target's own files.
#pragma once
void *lull_blas_library(void);
