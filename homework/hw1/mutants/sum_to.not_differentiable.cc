// The right numbers, but cut off from the graph.
const int added = x.ndim() - shape.ndim();
Shape to = x.shape();
for (int i = 0; i < x.ndim(); ++i) {
  if (i < added || shape[i - added] == 1) to[i] = 1;
}
return reshape(apply_op<ReduceOp>({x.detach()}, Reduce::sum, to), shape);
