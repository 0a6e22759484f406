// exp() of the numbers as they are.
Tensor largest = mul(max(values, axes, true).detach(), 0.0);
// Rows of only -inf (or with +inf) have no finite largest element to subtract.
const Tensor finite = less(abs(largest), Tensor::scalar(INFINITY, values.dtype(), x.device()));
largest = where(finite, largest, scalar_like(largest, 0));
const Tensor total = log(sum(exp(sub(values, largest)), axes, true));
const Tensor out = add(total, largest);
return keepdims ? out : reshape(out, without_axes(x.shape(), axes));
