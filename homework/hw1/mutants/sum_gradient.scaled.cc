// Every element gets the gradient as often as there are elements.
return mul(broadcast_to(dy, shape), static_cast<double>(shape.size()));
