// As if it were the mean.
return mul(broadcast_to(dy, shape), static_cast<double>(dy.size()) / static_cast<double>(std::max<int64_t>(1, shape.size())));
