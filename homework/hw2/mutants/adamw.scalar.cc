  // One element after the other: right, but slow.
  const double rate_ = step.lr / step.correction1, root_ = 1 / std::sqrt(step.correction2);
  parallel_for(p.size(), 16384, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double gi = g.as<T>()[i];
      const double mi = step.beta1 * m.as<T>()[i] + (1 - step.beta1) * gi;
      const double vi = step.beta2 * v.as<T>()[i] + (1 - step.beta2) * gi * gi;
      m.as<T>()[i] = static_cast<T>(mi);
      v.as<T>()[i] = static_cast<T>(vi);
      const double denominator = std::sqrt(vi) * root_ + step.eps;
      const double old = p.as<T>()[i] * (1 - step.lr * step.weight_decay);
      p.as<T>()[i] = static_cast<T>(old - rate_ * mi / denominator);
    }
  });
