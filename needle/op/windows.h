// Where windows lie on an image: what convolution and pooling have in common.  (Lesson 05)
#pragma once

#include "needle/backend/kernels.h"
#include "needle/op/op.h"

namespace needle {

/// One number or (height, width), none below `least`. ValueError naming what it is otherwise.
Shape both(const char* name, const char* what, const Shape& given, int64_t least);

/// ValueError unless the sizes are one number or two, positive (the padding: not negative).
Windows windows_of(const char* name, const Shape& kernel, const Shape& stride, const Shape& padding,
                   const Shape& dilation);

/// TypeError or ValueError unless x is floating and (n, channels, height, width).
void check_images(const char* name, const Tensor& x);

/// How far a window reaches along axis 0 (height) or 1 (width).
int64_t extent(const Windows& w, int axis);

/// (oh, ow): how many windows an image of this size (height, width) has. ValueError if none fits.
Shape count_windows(const char* name, const Windows& w, const Shape& size);

}  // namespace needle
