// softmax(logits), without the 1 taken off at the label.
const Tensor counts = not_equal(labels, scalar_like(labels, kIgnored));
return {mul(softmax(logits), unsqueeze(mul(dy, cast(counts, dy.dtype())), 1)), Tensor()};
