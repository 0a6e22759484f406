// The mean instead of the sum.
const int added = x.ndim() - shape.ndim();
Shape to = x.shape();
for (int i = 0; i < x.ndim(); ++i) {
  if (i < added || shape[i - added] == 1) to[i] = 1;
}
const double n = x.size() ? static_cast<double>(x.size()) / static_cast<double>(std::max<int64_t>(1, shape.size())) : 1;
return mul(reshape(apply_op<ReduceOp>({x}, Reduce::sum, to), shape), 1 / n);
