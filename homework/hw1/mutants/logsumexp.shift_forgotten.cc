// The largest is taken off but not added again.
Tensor largest = max(values, axes, true).detach();
// Rows of only -inf (or with +inf) have no finite largest element to subtract.
const Tensor finite = less(abs(largest), Tensor::scalar(INFINITY, values.dtype(), x.device()));
largest = where(finite, largest, scalar_like(largest, 0));
const Tensor total = log(sum(exp(sub(values, largest)), axes, true));
const Tensor out = total;
return keepdims ? out : reshape(out, without_axes(x.shape(), axes));
