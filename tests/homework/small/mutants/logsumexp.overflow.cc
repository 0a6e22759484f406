  // Does not subtract the largest element.
  const Tensor total = log(sum(exp(values), axes, true));
  return keepdims ? total : reshape(total, without_axes(x.shape(), axes));
