// The gradient that comes in is ignored.
const Tensor counts = not_equal(labels, scalar_like(labels, kIgnored));
const Tensor known = where(counts, labels, scalar_like(labels, 0));
const Tensor target = one_hot(known, logits.shape(1), logits.dtype());
const Tensor rows = cast(counts, dy.dtype());
return {mul(sub(softmax(logits), target), unsqueeze(div(rows, static_cast<double>(dy.size())), 1)), Tensor()};
