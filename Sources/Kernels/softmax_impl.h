// Softmax of rows, part of vm_impl.h: maximum, exp and sum in one pass over a cached row, scale.

// exp of what is at most 0; results below the normal numbers, which cost a trap each, become 0.
INLINE vf exp_below(vf x) { return SEL(x < -87.0f, VF(0.0f), exp_v(SEL(x < -87.0f, VF(0.0f), x))); }

static void NAME(softmax_)(float *out, const float *x, int64_t rows, int64_t n, int isLog) {
  for (int64_t r = 0; r < rows && !lull_interrupt_stops(); ++r, x += n, out += n) {
    float top = extreme_f32(x, n, 0);
    vf t = VF(top);
    vd sum = VD(0);
    int64_t i = 0;
    while (i + VL <= n) {
      // A few additions in float at a time: over a long row rounding errors of one sign would add up.
      int64_t end = i + 16 * VL < n ? i + 16 * VL : n;
      vf acc = VF(0);
      for (; i + VL <= end; i += VL) {
        vf e = exp_below(*(const vf *)(x + i) - t);
        if (!isLog) *(vf *)(out + i) = e;
        acc += e;
      }
      sum += TOD(acc);
    }
    double total = 0;
    for (int k = 0; k < VL; ++k) total += sum[k];
    if (i < n) {
      float tail[VL];
      for (int k = 0; k < VL; ++k) tail[k] = i + k < n ? x[i + k] : top;
      vf e = exp_below(*(const vf *)tail - t);
      *(vf *)tail = e;
      for (int64_t k = 0; i + k < n; ++k) {
        if (!isLog) out[i + k] = tail[k];
        total += tail[k];
      }
    }
    if (isLog) {
      float shift = top + (float)log(total);
      LOOP out[i] = x[i] - shift;
    } else {
      float scale = (float)(1 / total);
      LOOP out[i] *= scale;
    }
  }
}
