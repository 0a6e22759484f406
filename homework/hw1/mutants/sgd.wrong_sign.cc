// Uphill.
NDArray g = gradient;
if (weight_decay_ != 0) g = add(Tensor(g), mul(Tensor(p), weight_decay_)).value();
if (momentum_ != 0) {
  const bool first = !velocity_[i].defined();
  const NDArray& v = buffer(velocity_, i, p);
  scale_add(v, first ? 0 : momentum_, g, 1);
  g = nesterov_ ? add(Tensor(g), mul(Tensor(v), momentum_)).value() : v;
}
scale_add(p, 1, g, lr);
