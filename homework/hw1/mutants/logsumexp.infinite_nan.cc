// Rows of only -inf give NaN: -inf - -inf.
Tensor largest = max(values, axes, true).detach();
// Rows of only -inf (or with +inf) have no finite largest element to subtract.
const Tensor finite = less(abs(largest), Tensor::scalar(INFINITY, values.dtype(), x.device()));

const Tensor total = log(sum(exp(sub(values, largest)), axes, true));
const Tensor out = add(total, largest);
return keepdims ? out : reshape(out, without_axes(x.shape(), axes));
