// Takes every array for a compact one.
return with(shape, compact_strides(shape));
