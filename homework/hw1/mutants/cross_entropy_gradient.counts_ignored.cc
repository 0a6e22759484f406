// Rows with the label -100 count.
const Tensor counts = not_equal(labels, scalar_like(labels, kIgnored));
const Tensor known = where(counts, labels, scalar_like(labels, 0));
const Tensor target = one_hot(known, logits.shape(1), logits.dtype());
return {mul(sub(softmax(logits), target), unsqueeze(dy, 1)), Tensor()};
